#include "framework/planning/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "cluster/error.hpp"
#include "framework/planning/real.hpp"

namespace trireme::framework::planning {

namespace {

using Place = std::array<double, 3>;

/// Seconds over three sizes, between whose logarithms they are interpolated. Where the largest
/// sizes are missing together, that of the largest of them that was measured stands in.
class Sizes {
  public:
    void add(Place const& place, double seconds) {
        for (std::size_t d = 0; d < place.size(); ++d) axes_[d][place[d]] = true;
        seconds_[place] = seconds;
    }
    bool empty() const { return seconds_.empty(); }

    double at(Place const& place) const {
        double beyond = 1;
        std::array<Bracket, 3> brackets;
        for (std::size_t d = 0; d < place.size(); ++d) {
            brackets[d] = bracket(axes_[d], place[d]);
            beyond *= std::max(1.0, place[d] / axes_[d].rbegin()->first);
        }
        double log = 0;
        for (unsigned corner = 0; corner < 8; ++corner) {
            Place at{};
            double weight = 1;
            for (std::size_t d = 0; d < place.size(); ++d) {
                bool const upper = (corner >> d) & 1U;
                at[d] = upper ? brackets[d].above : brackets[d].below;
                weight *= upper ? brackets[d].share : 1 - brackets[d].share;
            }
            if (weight > 0) log += weight * std::log(measured(at));
        }
        return beyond * std::exp(log);
    }

  private:
    using Axis = std::map<double, bool>;
    struct Bracket {
        double below = 0, above = 0, share = 0; ///< share: of the way from below to above
    };

    static Bracket bracket(Axis const& axis, double size) {
        double const within = std::clamp(size, axis.begin()->first, axis.rbegin()->first);
        auto const above = axis.lower_bound(within);
        if (above->first == within) return {within, within, 0};
        double const high = above->first, low = std::prev(above)->first;
        return {low, high, std::log(within / low) / std::log(high / low)};
    }
    /// Seconds at a point of the grid. One that is missing costs what the one with its largest
    /// size a step smaller costs, times what is less of work.
    double measured(Place const& at) const {
        auto const found = seconds_.find(at);
        if (found != seconds_.end()) return found->second;
        Place smaller = at;
        auto const largest = std::ranges::max_element(smaller);
        Axis const& axis = axes_[static_cast<std::size_t>(largest - smaller.begin())];
        auto const step = axis.find(*largest);
        if (step == axis.begin()) return seconds_.begin()->second;
        double const ratio = *largest / std::prev(step)->first;
        *largest = std::prev(step)->first;
        return ratio * measured(smaller);
    }

    std::array<Axis, 3> axes_;
    std::map<Place, double> seconds_;
};

[[noreturn]] void lacks(std::string const& what) {
    throw cluster::InputError(fmt::format("calibration: no measured {}: legal: a machine's file of "
                                          "`trireme calibrate` with that compute type",
                                          what));
}

bool alike(CollectiveTime const& a, CollectiveTime const& b) {
    return a.op == b.op && a.ranks == b.ranks && (a.nodes > 1) == (b.nodes > 1);
}

} // namespace

double product_seconds(Calibration const& c, std::string_view dtype, ProductShape const& shape) {
    Sizes sizes;
    for (auto const& p : c.products)
        if (p.dtype == dtype && p.shape.form == shape.form)
            sizes.add({real(p.shape.rows), real(p.shape.inner), real(p.shape.columns)}, p.seconds);
    if (sizes.empty()) lacks(fmt::format("products in {}", dtype));
    return sizes.at({real(shape.rows), real(shape.inner), real(shape.columns)});
}

double attention_seconds(Calibration const& c, AttentionKind const& kind, double token_heads) {
    Sizes sizes;
    for (auto const& a : c.attention)
        if (a.kind.backward == kind.backward && a.kind.causal == kind.causal &&
            a.kind.dropout == kind.dropout)
            sizes.add({real(a.kind.sequence), real(a.kind.size), 1}, a.seconds);
    if (sizes.empty()) lacks("attention");
    return token_heads * sizes.at({real(kind.sequence), real(kind.size), 1});
}

double operation_seconds(Calibration const& c, std::string_view name, std::string_view dtype,
                         double bytes) {
    Sizes sizes;
    for (auto const& o : c.operations)
        if (o.name == name && o.dtype == dtype) sizes.add({o.bytes, 1, 1}, o.seconds);
    if (!sizes.empty()) return sizes.at({bytes, 1, 1});
    if (name == kOther) lacks("operations");
    return operation_seconds(c, kOther, kAnyType, bytes);
}

std::optional<double> collective_seconds(Calibration const& c, CollectiveTime const& call) {
    Sizes sizes;
    for (auto const& t : c.collectives)
        if (alike(t, call)) sizes.add({t.bytes, 1, 1}, t.seconds);
    if (!sizes.empty()) return sizes.at({std::max(1.0, call.bytes), 1, 1});
    CollectiveFit const* best = nullptr;
    for (auto const& fit : c.fits) {
        if (fit.op != call.op || (fit.nodes > 1) != (call.nodes > 1)) continue;
        if (!best || std::abs(fit.ranks - call.ranks) < std::abs(best->ranks - call.ranks))
            best = &fit;
    }
    if (!best) return std::nullopt;
    return best->latency + call.bytes * best->per_byte;
}

} // namespace trireme::framework::planning
