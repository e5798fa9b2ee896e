// Sums up what `generate` found over all prompts.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace trireme::launch {

/// Sums over prompts, and the means that are quoted.
struct GenerationSummary {
    std::int64_t prompts = 0, tokens = 0, stopped = 0, out_of_positions = 0, scored = 0,
                 reference_tokens = 0;
    double exact_match = 0, exact_match_normalized = 0, f1 = 0, rouge_l = 0, loss = 0;

    /// `seconds`: that generation took.
    nlohmann::ordered_json to_json(double seconds) const;
};

/// Exact match of a completion and its reference.
bool same_but_for_blanks_around(std::string const& a, std::string const& b);

} // namespace trireme::launch
