// The word that somebody meant.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace trireme::cluster {

/// The candidate that `word` is a misspelling of: the one with the fewest edits, a swap of
/// neighbours being one (Damerau 1964, Levenshtein 1966), the first of equals. None if more than a
/// third of the shorter word would have to change: a word so far away means something else.
std::optional<std::string> nearest(std::string const& word,
                                   std::vector<std::string> const& candidates);

/// Gives the words between a mistake and what is legal: "; did you mean X?", X being `before` and
/// the nearest candidate, or ";" if none is near.
std::string suggestion(std::string const& word, std::vector<std::string> const& candidates,
                       std::string const& before = "");

} // namespace trireme::cluster
