#include "launch/text/repeats.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "cluster/xxh3.hpp"

namespace trireme::launch::text {

namespace {

std::uint64_t number_of(std::string_view digits) {
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    return number;
}

} // namespace

void Repeats::add(std::string const& content, std::vector<std::string> const& values,
                  std::string const& split) {
    std::string const hash = cluster::xxh3_hex(content.data(), content.size());
    std::string joined;
    for (auto const& value : values)
        joined.append(std::to_string(value.size())).append(":").append(value);
    seen_.push_back({.high = number_of(std::string_view(hash).substr(0, 16)),
                     .low = number_of(std::string_view(hash).substr(16)),
                     .row = static_cast<std::uint32_t>(seen_.size()),
                     .split = static_cast<std::uint32_t>(cluster::xxh3_64(split)),
                     .values = cluster::xxh3_64(joined)});
}

Repeats::Counts Repeats::count() {
    std::ranges::sort(seen_, {}, [](Seen const& s) { return std::tuple(s.high, s.low, s.row); });
    Counts counts;
    Seen const* first = nullptr;
    for (auto const& seen : seen_) {
        if (!first || seen.high != first->high || seen.low != first->low) {
            first = &seen;
            continue;
        }
        ++counts.repeated;
        counts.contradicting += seen.values != first->values;
        counts.in_two_splits += seen.split != first->split;
    }
    return counts;
}

} // namespace trireme::launch::text
