#include "cluster/nearest.hpp"

#include <algorithm>
#include <numeric>

namespace trireme::cluster {

namespace {

/// of a word that is compared: the cost is a product of lengths
constexpr std::size_t kLongest = 200;

std::size_t edits(std::string const& a, std::string const& b) {
    std::vector<std::size_t> two_before, before(b.size() + 1), row(b.size() + 1);
    std::iota(before.begin(), before.end(), 0U);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] =
                std::min({before[j - 1] + (a[i - 1] != b[j - 1]), before[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], two_before[j - 2] + 1);
        }
        two_before = before;
        before = row;
    }
    return before.back();
}

} // namespace

std::optional<std::string> nearest(std::string const& word,
                                   std::vector<std::string> const& candidates) {
    std::optional<std::string> best;
    std::size_t fewest = kLongest;
    for (auto const& candidate : candidates) {
        std::size_t const shorter = std::min(word.size(), candidate.size());
        if (std::max(word.size(), candidate.size()) > kLongest) continue;
        std::size_t const n = edits(word, candidate);
        if (n >= fewest || n > std::max<std::size_t>(1, shorter / 3) || n >= shorter) continue;
        fewest = n;
        best = candidate;
    }
    return best;
}

std::string suggestion(std::string const& word, std::vector<std::string> const& candidates,
                       std::string const& before) {
    auto const found = nearest(word, candidates);
    return found ? "; did you mean " + before + *found + "?" : ";";
}

} // namespace trireme::cluster
