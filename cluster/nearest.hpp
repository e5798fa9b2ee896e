// The word that somebody meant.
#pragma once
#include <string>
#include <vector>

namespace trireme::cluster {

/// The candidate with the fewest edits to `word` (Levenshtein 1966), the first of equals; empty without candidates.
std::string nearest(std::string const& word, std::vector<std::string> const& candidates);

} // namespace trireme::cluster
