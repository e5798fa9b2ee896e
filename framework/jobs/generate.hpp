// Completions of a list of prompts by a model of a Hugging Face folder, shared out over the ranks.
// No torch.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/generation/completion.hpp"
#include "framework/generation/stop_tokens.hpp"

namespace trireme::framework::jobs {

struct GenerationJob {
    std::string model; ///< Hugging Face folder
    std::vector<std::string>
        set; ///< "parallel.pipeline=2": parallel.pipeline, parallel.layers_of_parts
    generation::Options options;
    int threads = 0; ///< per rank; 0: cores of the node divided by its ranks
    std::vector<generation::Prompt> prompts; ///< prompts[i].index is i
    /// Reference completions with their stop token, to be scored; an empty one is not scored.
    /// Empty, or one per prompt.
    std::vector<std::vector<std::int32_t>> references;
};

struct GenerationResult {
    std::vector<generation::Completion> completions;   ///< by index of the prompt
    std::vector<generation::ReferenceLoss> references; ///< likewise; 0 tokens where there is none
};

/// Generates. Each `parallel.pipeline` ranks hold one copy of the model, a part of its layers each.
/// Groups of options.batch prompts go round the copies, so what is computed together does not
/// depend on the number of ranks, and with the same threads per rank no bit of the result does.
/// Another number of threads changes the order of additions in MKL's products of few rows:
/// log-probabilities then agree to float32 rounding. The same result on every rank. `listener`
/// hears the prompts of this rank. Collective over `world`. Throws InputError before weights are
/// read.
GenerationResult run_generation(GenerationJob const& job, cluster::Communicator& world,
                                generation::Listener const& listener = {});

/// Completes one prompt; the listener hears each token. Throws InputError for a prompt that the
/// model has no positions or no tokens for; another one may follow.
using Completer = std::function<generation::Completion(std::vector<std::int32_t> const& prompt,
                                                       generation::Listener const& listener)>;

/// Reads the model of `job` onto the one rank of `world`, and lets `talk` ask for completions, one
/// after the other, each as run_generation makes it of that prompt alone. Throws InputError before
/// weights are read.
void run_conversation(GenerationJob const& job, cluster::Communicator& world,
                      std::function<void(Completer const&)> const& talk);

} // namespace trireme::framework::jobs
