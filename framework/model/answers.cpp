#include "framework/model/answers.hpp"

#include <algorithm>

namespace trireme::framework::model {

void best_spans(std::span<float const> logits, std::span<std::int32_t const> context_bytes,
                std::vector<AnswerSpan>& to) {
    std::vector<AnswerSpan> found;
    std::size_t const tokens = logits.size() / 2;
    for (std::size_t first = 0; first < tokens; ++first) {
        if (context_bytes[2 * first] < 0) continue;
        for (std::size_t last = first; last < std::min(tokens, first + kLongestAnswer); ++last)
            if (context_bytes[2 * last] >= 0)
                found.push_back({logits[2 * first] + logits[2 * last + 1], context_bytes[2 * first],
                                 context_bytes[2 * last + 1]});
    }
    std::size_t const kept = std::min(found.size(), kSpansOfWindow - 1);
    // Places break ties: the best ones do not depend on how they were looked for.
    std::ranges::partial_sort(found, found.begin() + static_cast<std::ptrdiff_t>(kept),
                              [](AnswerSpan const& a, AnswerSpan const& b) {
                                  if (a.score != b.score) return a.score > b.score;
                                  return a.first != b.first ? a.first < b.first : a.end < b.end;
                              });
    found.resize(kSpansOfWindow - 1);
    to.push_back({logits[0] + logits[1]});
    to.insert(to.end(), found.begin(), found.begin() + (kSpansOfWindow - 1));
}

} // namespace trireme::framework::model
