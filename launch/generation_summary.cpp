#include "launch/generation_summary.hpp"

#include <cmath>

namespace trireme::launch {

namespace {

std::string trimmed(std::string const& text) {
    auto const first = text.find_first_not_of(" \t\r\n");
    return first == std::string::npos
               ? ""
               : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

} // namespace

bool same_but_for_blanks_around(std::string const& a, std::string const& b) {
    return trimmed(a) == trimmed(b);
}

nlohmann::ordered_json GenerationSummary::to_json(double seconds) const {
    nlohmann::ordered_json json{{"prompts", prompts},
                                {"tokens", tokens},
                                {"ended_by_stop_token", stopped},
                                {"cut_at_max_positions", out_of_positions},
                                {"tokens_per_second", static_cast<double>(tokens) / seconds}};
    if (scored == 0) return json;
    auto const n = static_cast<double>(scored);
    json.update({{"scored", scored},
                 {"exact_match", exact_match / n},
                 {"exact_match_normalized", exact_match_normalized / n},
                 {"f1", f1 / n},
                 {"rouge_l", rouge_l / n}});
    if (reference_tokens > 0)
        json["perplexity"] = std::exp(loss / static_cast<double>(reference_tokens));
    return json;
}

} // namespace trireme::launch
