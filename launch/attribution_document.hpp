// The JSON that `trireme attribute` writes (docs/attribute.md).
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "framework/jobs/attribute.hpp"

namespace trireme::launch {

inline constexpr char const* kAttributions = "trireme-attributions";
inline constexpr int kAttributionsVersion = 1;

/// Sums of the values of tokens by word; `places`: the word of each token, -1 for none.
std::vector<double> by_word(std::vector<double> const& of_tokens,
                            std::vector<std::int64_t> const& places, std::size_t words);

/// Says what a model makes of a text: prediction, attributions by token and by word, deletions.
nlohmann::ordered_json to_json(framework::jobs::Attribution const& found,
                               framework::jobs::AttributedModel const& model,
                               std::vector<std::int64_t> const& places, std::size_t words);
/// Says on which tokens the log-probability of the one at `place` rests, of a language model; its
/// "target", what the token stands for, is null.
nlohmann::ordered_json to_json(framework::jobs::Attribution const& found, std::int64_t place,
                               std::vector<std::int64_t> const& places, std::size_t words);
/// Says what tokens cost a language model: losses of the tokens, null at the first.
nlohmann::ordered_json to_json(std::vector<framework::jobs::TokenLoss> const& losses);

} // namespace trireme::launch
