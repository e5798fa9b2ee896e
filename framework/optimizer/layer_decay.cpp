#include "framework/optimizer/layer_decay.hpp"

#include <cmath>

namespace trireme::framework::optimizer {

double rate_scale(Section const& section, std::string const& unit, std::int64_t layers) {
    if (section.layer_decay == 1 || unit == "head") return 1;
    constexpr std::string_view kLayer = "layers.";
    std::int64_t const below =
        unit.starts_with(kLayer) ? layers - std::stoll(unit.substr(kLayer.size())) : layers + 1;
    return std::pow(section.layer_decay, static_cast<double>(below));
}

} // namespace trireme::framework::optimizer
