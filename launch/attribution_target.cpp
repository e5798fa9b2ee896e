#include "launch/attribution_target.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"

namespace trireme::launch {

using framework::jobs::AttributedModel;
using framework::jobs::AttributedText;

namespace {

AttributionTarget token_of(std::string const& given, std::string const& folder) {
    AttributionTarget target{.of_token = true};
    if (given == "last") return target;
    auto const* const end = given.data() + given.size();
    auto const [rest, error] = std::from_chars(given.data(), end, target.token);
    if (error != std::errc() || rest != end || target.token < 1)
        throw cluster::InputError(
            fmt::format("--target: {}: legal with a language model, as {}: last, or the place of a "
                        "token in its text, counted from 0, that has one before it",
                        given, folder));
    return target;
}

} // namespace

AttributionTarget target_of(std::string const& given, AttributedModel const& model) {
    if (given.empty()) return {};
    if (model.is_language_model()) return token_of(given, model.folder());
    auto const& labels = model.labels();
    auto const found = std::ranges::find(labels, given);
    if (found == labels.end())
        throw cluster::InputError(fmt::format("--target: {}: no such label{} legal: {}", given,
                                              cluster::suggestion(given, labels),
                                              fmt::join(labels, ", ")));
    return {.label = found - labels.begin()};
}

std::int64_t place_of(AttributionTarget const& target, AttributedText const& text) {
    std::int64_t const count = std::ssize(text.fixed);
    std::int64_t place = target.token;
    if (place == AttributionTarget::kLast)
        for (place = count - 1; place > 0 && text.fixed[static_cast<std::size_t>(place)];) --place;
    if (place >= count)
        throw cluster::InputError(
            fmt::format("--target: {}: a text has {} tokens; legal: 1 to {}, or last", place, count,
                        count - 1));
    auto const before = text.fixed.begin() + std::max<std::int64_t>(0, place);
    return std::find(text.fixed.begin(), before, false) == before ? 0 : place;
}

} // namespace trireme::launch
