#include "framework/config/layout_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/config/old_keys.hpp"

namespace trireme::framework::config {

Config layout_config(std::string const& command, std::vector<std::string> const& allowed,
                     std::vector<std::string> const& set, std::string const& model,
                     std::string const& task) {
    auto const current = [](std::string const& assignment) {
        auto const equal = std::min(assignment.find('='), assignment.size());
        auto const key = assignment.substr(0, equal);
        return new_name_of(key).value_or(key) + assignment.substr(equal);
    };
    for (auto const& assignment : set)
        if (std::ranges::none_of(allowed, [&](std::string const& key) {
                return current(assignment).starts_with(key.ends_with('.') ? key : key + "=");
            }))
            throw cluster::InputError(fmt::format("--set {}: legal for {}: KEY=VALUE with {}",
                                                  assignment, command, fmt::join(allowed, ", ")));
    std::vector<std::string> all{"run=none", "data.path=none", "model.path=" + model,
                                 "task=" + task};
    all.insert(all.end(), set.begin(), set.end());
    return parse_config("{}", command, all);
}

} // namespace trireme::framework::config
