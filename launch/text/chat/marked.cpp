#include "launch/text/chat/marked.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "data/token_weights.hpp"

namespace trireme::launch::text {

namespace {

std::int32_t in_millionths(double weight) {
    return static_cast<std::int32_t>(std::lround(weight * data::kWeightUnit));
}

/// Knows the two spellings of a space: that of byte-level tokens and that of pieces.
bool begins_with_space(std::string const& token) {
    return token.starts_with("\u0120") || token.starts_with("\u2581");
}

} // namespace

Marked mark(Tokenizer const& tokenizer, Tokenizer::Plain&& plain,
            std::vector<TrainedSpan> const& spans) {
    Marked made{std::move(plain.tokens), std::vector<std::int32_t>(plain.places.size())};
    auto span = spans.begin();
    std::size_t previous = 0;
    for (std::size_t t = 0; t < plain.places.size(); ++t) {
        auto const [first, end] = plain.places[t];
        while (span != spans.end() && span->end <= first) ++span;
        bool const is_in = span != spans.end() && first >= span->first;
        bool const begins_before = is_in && previous < span->first && previous < first &&
                                   begins_with_space(tokenizer.token(made.tokens[t]));
        bool const reaches_in = span != spans.end() && first < span->first && end > span->first;
        if (is_in && !begins_before) made.weights[t] = in_millionths(span->weight);
        made.crossing += begins_before || reaches_in || (is_in && end > span->end);
        previous = std::max(previous, end);
    }
    for (auto const& one : spans) made.unended += one.stop.empty();
    return made;
}

} // namespace trireme::launch::text
