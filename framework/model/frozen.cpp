#include "framework/model/frozen.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace trireme::framework::model {

bool fits(std::string const& pattern, std::string const& name) {
    return fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

bool is_frozen(Config const& config, std::string const& name) {
    return std::ranges::any_of(config.frozen,
                               [&](auto const& pattern) { return fits(pattern, name); });
}

} // namespace trireme::framework::model
