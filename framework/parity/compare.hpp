// How far a layout is from the reference, and how far it may be.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "framework/parity/trace.hpp"

namespace trireme::framework::parity {

/// Distances from the reference; of the same form, what each may be at most.
struct Errors {
    std::map<std::string, double> gradient; ///< ||dg|| / max(||g||, 1e-6 x global norm), step 1
    /// ... of Adam's first moment after step 1, which shows what the update took of the gradient.
    /// AdamW's weights hardly show it, since they do not change if all gradients are scaled.
    std::map<std::string, double> first_moments;
    /// ||dw|| / how far the reference moved, after step 1 and at the end
    std::map<std::string, double> first, weights;
    std::vector<double> losses, norms; ///< relative, per step
};
using Bounds = Errors;

/// Measures how far `trace` is from `exact`. If ranks hold copies, the largest difference between
/// two of them is added to a distance.
Errors errors_of(Problem const& problem, Trace const& trace, Trace const& exact);

/// 4 times the error of one process in the same numerics (`single`, one per packing), but at least
/// 4 times a floor of a few roundings, and at most 16 times that: a single process that is wrong
/// must not excuse others. In float64 compute 1e-10 for gradients, losses and norms.
Bounds bounds_of(Problem const& problem, Trace const& exact, std::vector<Errors> const& single);

/// Bounds in bf16 how much two layouts of one tensor size and one packing may differ in step 1, in
/// gradients, loss, norm and first moments: they round alike, and only the order of sums in float32
/// differs.
inline constexpr double kAlike = 1e-3;
/// Bounds in bf16 the factor by which a layout's norm and its gradients as a whole may be off, and
/// a single gradient of 100 elements or more: a rounding is as likely up as down, so that it
/// matters less along the gradient than in all directions.
inline constexpr double kAlong = 0.06, kAlongOne = 0.15;

/// A figure and its bound.
struct Figure {
    std::string what; ///< "gradient", "first moment", "weights after step 1", "weights", "loss of
                      ///< step 2", ...
    std::string parameter; ///< empty for losses and norms
    double error = 0, bound = 0;

    bool holds() const { return error <= bound; } ///< false for a NaN
    double share() const { return holds() || error > bound ? error / bound : 1e300; }
};
/// The largest share of its bound first; NaN does not hold.
void worst_first(std::vector<Figure>& figures);
/// Judges in bf16 the figures of step 1 against another layout of the same tensor size and packing,
/// by `kAlike`. Their names end with "beside its like".
std::vector<Figure> figures_alike(Trace const& trace, Trace const& like);
/// Gives in bf16 the factor by which gradients are off from those of one process, <g, single> /
/// <single, single> - 1, as a whole and one by one; and the norm. One process with the same packing
/// rounds much alike.
std::vector<Figure> figures_along(Trace const& trace, Trace const& single);
/// All figures, the largest share of its bound first.
std::vector<Figure> figures(Errors const& errors, Bounds const& bounds);

/// The parameters whose figure called `what` is over its bound, worst first.
std::vector<std::string> wrong_parameters(std::vector<Figure> const& figures,
                                          std::string const& what);

} // namespace trireme::framework::parity
