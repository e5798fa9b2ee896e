// Prompts of a validation split that a run completes at each evaluation. No torch.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/generation/completion.hpp"

namespace trireme::framework::inputs {

struct ValidationPrompts {
    std::vector<generation::Prompt> prompts;
    /// what each is followed by in the data, without its stop token
    std::vector<std::vector<std::int32_t>> references;
    generation::Options options; ///< greedy
};

/// Takes evaluation.generate samples of `validation` (null: none is there), at equal distances from
/// the first on: the tokens before the last stretch of trained ones are a prompt, that stretch is
/// what should follow, in a conversation the last turn of the assistant. None without the key.
/// Throws InputError for a task without prompts, for more prompts than there are, and for a layout
/// or device over which generation is not divided. Local.
ValidationPrompts open_prompts(config::Config const& config, data::Dataset const* validation);

} // namespace trireme::framework::inputs
