#include "framework/config/old_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace trireme::framework::config {

namespace {

struct Renamed {
    std::string_view before, now;
};
constexpr std::array kRenamed{
    Renamed{"batch.tokens_per_slot", "batch.tokens_per_micro_batch"},
};

} // namespace

std::optional<std::string> new_name_of(std::string_view key) {
    auto const* const found = std::ranges::find(kRenamed, key, &Renamed::before);
    if (found == kRenamed.end()) return std::nullopt;
    return std::string(found->now);
}

std::string old_name_note(std::string const& place, std::string const& key) {
    return fmt::format("{}: {} is called {} now; the next version will refuse the old name", place,
                       key, *new_name_of(key));
}

} // namespace trireme::framework::config
