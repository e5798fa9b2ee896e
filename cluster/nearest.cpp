#include "cluster/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trireme::cluster {

namespace {

constexpr std::size_t kLongest = 200; ///< of a word that is compared: the cost is a product of lengths

std::size_t edits(std::string const& a, std::string const& b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0U);
    for (std::size_t i = 0; i < std::min(a.size(), kLongest); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            std::size_t const change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
        }
    }
    return row.back();
}

} // namespace

std::string nearest(std::string const& word, std::vector<std::string> const& candidates) {
    auto const found = std::ranges::min_element(candidates, {}, [&](auto const& c) { return edits(word, c); });
    return found == candidates.end() ? "" : *found;
}

} // namespace trireme::cluster
