#include "framework/run/source_totals.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trireme::framework::run {

namespace {

double part(std::int64_t of, std::int64_t all) {
    return static_cast<double>(of) / static_cast<double>(std::max<std::int64_t>(1, all));
}

struct Sum {
    std::int64_t samples = 0, tokens = 0;
};
Sum sum_of(std::vector<SourceTotal> const& sources) {
    Sum sum;
    for (auto const& source : sources) {
        sum.samples += source.samples;
        sum.tokens += source.tokens;
    }
    return sum;
}

} // namespace

std::string source_text(std::vector<SourceTotal> const& sources) {
    Sum const all = sum_of(sources);
    std::string text;
    for (auto const& source : sources)
        text += fmt::format(
            "{}{} {:.1f} % of the samples, {:.1f} % of the tokens, {:.2f} epochs",
            text.empty() ? "" : "; ", source.name, 100 * part(source.samples, all.samples),
            100 * part(source.tokens, all.tokens), part(source.samples, source.size));
    return text;
}

nlohmann::ordered_json source_list(std::vector<SourceTotal> const& sources) {
    Sum const all = sum_of(sources);
    auto list = nlohmann::ordered_json::array();
    for (auto const& source : sources)
        list.push_back({{"name", source.name},
                        {"samples", source.samples},
                        {"tokens", source.tokens},
                        {"share_of_samples", part(source.samples, all.samples)},
                        {"share_of_tokens", part(source.tokens, all.tokens)},
                        {"epochs", part(source.samples, source.size)}});
    return list;
}

} // namespace trireme::framework::run
