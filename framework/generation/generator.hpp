// Text generation: tokens in, tokens out, on the stage that training runs.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/generation/completion.hpp"
#include "framework/generation/relay.hpp"

namespace trireme::framework::generation {

/// Throws InputError for a prompt that is empty, longer than the model's positions or outside its
/// vocabulary, and for options that are not legal.
void check_prompts(std::vector<Prompt> const& prompts, Options const& options,
                   model::Config const& model);

class Generator {
  public:
    explicit Generator(Relay const& model) : model_(model) {}

    /// Decodes all prompts as one batch: nothing is padded, and what ended leaves the batch. In the
    /// order of `prompts`. They must have passed check_prompts. Collective over the stages of the
    /// model, the same on each.
    std::vector<Completion> complete(std::vector<Prompt> const& prompts, Options const& options,
                                     Listener const& listener = {}) const;
    /// Computes the loss of each reference after its prompt. Both lists have the same length, and
    /// each pair fits the model's positions. Collective as above.
    std::vector<ReferenceLoss>
    losses(std::vector<Prompt> const& prompts,
           std::vector<std::vector<std::int32_t>> const& references) const;

  private:
    Relay model_;
};

} // namespace trireme::framework::generation
