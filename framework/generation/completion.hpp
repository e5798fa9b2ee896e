// Says what is asked of a generator and what it gives back. No torch.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "framework/generation/sampler.hpp"

namespace trireme::framework::generation {

struct Options {
    std::int64_t max_new_tokens = 128;
    std::int64_t batch = 8; ///< prompts decoded together
    Sampling sampling;
    std::vector<std::int32_t> stops; ///< any of them ends a completion; empty: none does
    /// false: every token of a text is computed again for each new one (an oracle)
    bool cache = true;
};

struct Prompt {
    std::int64_t index = 0;           ///< place in the whole list; keys the random numbers
    std::vector<std::int32_t> tokens; ///< at least 1, at most the model's positions
    std::string name;                 ///< for messages: FILE:LINE
};

enum class Ending : std::uint8_t {
    stop,           ///< a stop token, which is not in `tokens`
    max_new_tokens, ///< as many as were asked for
    max_positions   ///< the model has no position for another one
};
char const* name_of(Ending ending);

struct Completion {
    std::int64_t index = 0;
    std::vector<std::int32_t> tokens;
    double log_probability = 0; ///< of all chosen tokens under the model, the stop token included
    Ending ending = Ending::stop;
};

/// Sum of the negative log-probabilities of a reference and its stop token after a prompt.
struct ReferenceLoss {
    double loss = 0;
    std::int64_t tokens = 0;
};

/// Called with the index of a prompt and each token of its completion as it is chosen.
using Listener = std::function<void(std::int64_t prompt, std::int32_t token)>;

} // namespace trireme::framework::generation
