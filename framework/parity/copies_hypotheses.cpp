// Hypotheses about parameters that more than one use, rank or stage adds to, and about their norm.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/model/layer_names.hpp"
#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

namespace {

bool all_of(std::vector<std::string> const& names, auto const& holds) {
    return !names.empty() && std::ranges::all_of(names, holds);
}

} // namespace

/// Names what is wrong with a gradient that is a x the input's part + b x the output's part.
static Cause cause_of_uses(double a, double b, std::string const& where) {
    for (auto const& [weight, other, what] : {std::tuple{b, a, "output"}, {a, b, "input"}})
        if (std::abs(weight) < 2e-2 && near(other, 1, 2e-2))
            return {"tied-missing",
                    fmt::format("the tied embedding lacks the gradient of its use at the {}: not "
                                "added {}",
                                what, where),
                    ""};
    return {"tied-weights",
            "the two uses of the tied embedding are added with wrong weights " + where, ""};
}

std::optional<Cause> tied_use_missing(Case const& c) {
    auto const uses = c.lab.tied_uses();
    std::string const table = model::embedding_names(c.lab.problem().model).tokens;
    if (!uses || c.wrong != std::vector{table}) return {};
    Tensors const embeddings{{table, uses->first}}, head{{table, uses->second}};
    Fit const f = fit({&embeddings, &head}, c.specimen.trace.gradient, {table});
    if (!explains(c, f, {table})) return {};
    bool const across = c.specimen.layout.parallel.pipeline > 1;
    Cause cause = cause_of_uses(f.weights[0], f.weights[1],
                                across ? "between the first and the last pipeline stage"
                                       : "within one stage");
    cause.evidence =
        fmt::format("it is {:.3f} x the input's part + {:.3f} x the output's part, to {:.1e}; "
                    "the loss and all other gradients agree",
                    f.weights[0], f.weights[1], f.residual);
    cause.parameters = c.wrong;
    cause.confidence = kSure;
    return cause;
}

namespace {

/// Largest difference between ranks' copies, as a fraction of the gradient.
double copies_apart(Case const& c, std::string const& name) {
    auto const found = c.specimen.trace.gradient_copies.find(name);
    if (found == c.specimen.trace.gradient_copies.end()) return 0;
    return found->second / std::max(1e-30, c.lab.exact().gradient.at(name).norm().item<double>());
}

std::string kinds_of(Case const& c) {
    auto const norms = std::ranges::count_if(c.wrong, [](auto const& n) {
        return n.find("norm") != n.npos || n.find("Norm") != n.npos || n.find("ln_") != n.npos;
    });
    return norms == std::ssize(c.wrong) ? "norm layers"
                                        : "norm layers, position tables and biases after the sum";
}

/// Returns the least and the largest difference between copies of a wrong gradient.
std::pair<double, double> range_apart(Case const& c) {
    double most = 0, least = 1e300;
    for (auto const& n : c.wrong) {
        if (!c.lab.counts(n)) continue;
        most = std::max(most, copies_apart(c, n));
        least = std::min(least, copies_apart(c, n));
    }
    return {least, most};
}

/// Names whose copies are not summed: those of `partial` parameters alone, of `shared` ones alone,
/// or of both.
Cause cause_of_copies(Case const& c, bool partial, bool shared, std::string const& evidence) {
    if (partial)
        return Cause{"stretches-not-summed",
                     fmt::format("gradients of {} are not summed over the tensor ranks: each keeps "
                                 "its own stretch of the sequence (sequence parallelism)",
                                 kinds_of(c)),
                     evidence, c.wrong, kSure};
    if (shared)
        return Cause{"kv-heads-not-summed",
                     "gradients of kv heads that tensor ranks share are not summed over "
                     "them: each keeps "
                     "what its own query heads add",
                     evidence, c.wrong, kSure};
    return Cause{"copies-not-summed",
                 fmt::format("gradients of what tensor ranks hold copies of ({} and shared key and "
                             "value heads) are not "
                             "summed over them",
                             kinds_of(c)),
                 evidence, c.wrong, kSure};
}

Cause wrong_but_alike(Case const& c) {
    return {"copies-sum",
            "the sum over tensor ranks of gradients of which each holds a copy is wrong",
            "only gradients of norm layers, of biases after a sum, of position tables or "
            "of shared kv heads are "
            "wrong, and their copies agree",
            c.wrong, kLikely};
}

} // namespace

std::optional<Cause> copies_not_summed(Case const& c) {
    auto const& layout = c.specimen.layout;
    if (layout.parallel.tensor == 1 || c.specimen.wrong("loss of step 1")) return {};
    auto const partial = [&](auto const& n) { return c.lab.spec(n).partial; };
    auto const shared = [&](auto const& n) {
        return c.lab.spec(n).cut.share == parallel::TensorCut::Share::copy &&
               c.lab.copies(n, layout) > 1;
    };
    if (!all_of(c.wrong, [&](auto const& n) { return partial(n) || shared(n); })) return {};
    auto const [least, most] = range_apart(c);
    if (most == 0) return wrong_but_alike(c);
    if (least <= 1e-3) return {};
    return cause_of_copies(
        c, all_of(c.wrong, partial), all_of(c.wrong, shared),
        fmt::format("copies on the tensor ranks differ by {:.2g} of the gradient; the loss and all "
                    "other gradients agree",
                    most));
}

/// Looks for a norm that is too large because something is counted repeatedly. Empty: it is not.
static std::optional<Cause> counted_again(Case const& c, double found, double right) {
    auto const& layout = c.specimen.layout;
    double squares = 0;
    for (auto const& [name, g] : c.lab.exact().gradient)
        squares += c.lab.copies(name, layout) * std::pow(g.norm().item<double>(), 2);
    if (near(found, std::sqrt(squares), 10 * closeness(c)))
        return Cause{
            "norm-counts-copies",
            "the gradient norm counts parameters that tensor ranks hold copies of once per copy",
            ": what that gives"};
    for (auto const& [size, what] : {std::pair{layout.parallel.tensor, "tensor rank"},
                                     {layout.data(), "data rank"},
                                     {layout.parallel.pipeline, "pipeline stage"}})
        if (size > 1 && near(found, right * std::sqrt(size), 1e-3))
            return Cause{"norm-counts-copies",
                         fmt::format("the gradient norm counts every element once per {}", what),
                         fmt::format(": sqrt({}) times", size)};
    return {};
}

std::optional<Cause> norm_counts_copies(Case const& c) {
    if (!c.wrong.empty() || !c.specimen.wrong("norm of step 1")) return {};
    double const found = c.specimen.trace.norms.at(0), right = c.lab.exact().norms.at(0);
    auto const again = counted_again(c, found, right);
    Cause cause =
        again.value_or(Cause{"norm", "the gradient norm, and with it clipping, is wrong", ""});
    cause.evidence =
        fmt::format("every gradient agrees, but the norm is {:.6g} where the reference has {:.6g}",
                    found, right) +
        cause.evidence;
    cause.confidence = again ? kSure : kLikely;
    return cause;
}

} // namespace trireme::framework::parity
