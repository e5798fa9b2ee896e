// Hypotheses about steps after the first, where that is right.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

namespace {

/// Weights after step 1, some of which are still those of before.
struct Stale {
    std::string text;
    model::Config model;
    Tensors weights;
    std::vector<std::string> parameters;
};

std::vector<Stale> stale_parts(Case const& c) {
    model::Config const& model = c.lab.problem().model;
    Tensors const &before = c.lab.problem().initial, &after = c.lab.exact().first;
    std::vector<Stale> all{{"all weights", model, before, {}}};
    for (auto const& spec : model::parameter_specs(model)) {
        if (all.back().text != spec.unit) all.push_back({spec.unit, model, after, {}});
        all.back().weights[spec.name] = before.at(spec.name);
        all.back().parameters.push_back(spec.name);
    }
    if (!model.tied_embeddings || !model::traits_of(model.head).of_vocabulary()) return all;
    std::string const table = model::embedding_names(model).tokens;
    model::Config untied = model;
    untied.tied_embeddings = false;
    Tensors weights = after;
    weights[model::head_names(untied).language_model] = before.at(table);
    all.push_back({"the tied embedding as the output uses it", untied, weights, {table}});
    return all;
}

Cause cause_of_stale(Stale const& part, std::string const& evidence) {
    return {"stale-weights",
            fmt::format("the forward pass of step 2 computes with weights of before the update "
                        "({}): a stale "
                        "gather or copy",
                        part.text),
            evidence, part.parameters, kSure};
}

} // namespace

std::optional<Cause> stale_weights(Case const& c) {
    if (!c.specimen.first_step_right() || !c.specimen.wrong("loss of step 2")) return {};
    double const found = c.specimen.trace.losses.at(1), right = c.lab.exact().losses.at(1);
    std::string const numbers = fmt::format("step 1 and the weights after it agree; the loss of "
                                            "step 2 is {:.7f}, the reference's {:.7f}",
                                            found, right);
    for (auto const& part : stale_parts(c)) {
        double const variant = c.lab.loss_at(part.model, part.weights, 1);
        if (!near(found, variant, closeness(c)) ||
            std::abs(found - variant) > 0.1 * std::abs(found - right))
            continue;
        return cause_of_stale(
            part,
            fmt::format("{}, with these weights of before the update {:.7f}", numbers, variant));
    }
    Cause partly{"partly-stale-weights",
                 "part of step 2 computes with other weights than the update made", numbers};
    partly.confidence = kLikely;
    return partly;
}

/// Names how the gradient of the step before came in, and how sure that is.
static std::pair<char const*, double> how_left_over(double own) {
    if (near(own, 1, 2e-2))
        return {"gradients hold those of the step before as well: sums are not emptied between "
                "steps",
                kSure};
    if (std::abs(own) < 2e-2) return {"gradients are those of the step before", kSure};
    return {"gradients are mixed with those of the step before", kLikely};
}

std::optional<Cause> left_over(Case const& c) {
    if (!c.before || c.wrong.empty() || c.specimen.wrong("loss of step 1")) return {};
    std::vector<std::string> names;
    for (auto const& name : c.wrong)
        if (c.lab.counts(name)) names.push_back(name);
    if (names.empty()) return {};
    Fit const f =
        fit({&c.lab.exact().gradient, &c.before->gradient}, c.specimen.trace.gradient, names);
    double const own = f.weights[0], old = f.weights[1];
    if (!explains(c, f, names) || std::abs(old) < 2e-2) return {};
    auto const [text, confidence] = how_left_over(own);
    return Cause{
        "left-over", text,
        fmt::format("the loss agrees, and these gradients are {:.3f} x those of the step + {:.3f} "
                    "x those of the step before, to {:.1e}",
                    own, old, f.residual),
        names, confidence};
}

namespace {

/// Holds the errors of the first moments after the last step, and the factors by which they are
/// off.
struct Off {
    double worst = 0, most = 0, least = 1e300;
};

Off moments_off(Case const& c, std::vector<std::string> const& names) {
    Off off;
    for (auto const& name : names) {
        if (!c.lab.counts(name)) continue;
        at::Tensor const exact = c.lab.exact().moments.at(name),
                         found = c.specimen.trace.moments.at(name);
        double const squares = std::max(1e-60, exact.square().sum().item<double>());
        double const factor = (found.to(at::kDouble) * exact).sum().item<double>() / squares;
        off.worst = std::max(off.worst, (found.to(at::kDouble) - exact).norm().item<double>() /
                                            std::sqrt(squares));
        off.most = std::max(off.most, factor), off.least = std::min(off.least, factor);
    }
    return off;
}

/// Says what the moments alone tell, after "later ones do not, and ".
Cause cause_of_moments(Off const& off, double closeness) {
    if (off.worst <= 100 * closeness)
        return {"later-update",
                "the update of a later step is wrong where its first moment is right: the "
                "second moment, the "
                "correction of either for the step's number, or the rate",
                fmt::format("the first moment is off by {:.2g} alone", off.worst)};
    double const factor = std::abs(off.most - 1);
    if (factor > 1e-2 && near(off.most, off.least, 1e-2) && off.worst < 1.1 * factor)
        return {"moment-scale",
                "what the moments took of the gradients of a later step is scaled: its clip, or a "
                "decay of the "
                "moment",
                fmt::format("the first moment is {:.4g} times what it should be", off.most)};
    return {"optimizer-state",
            "the optimizer's moments are lost, or not those of the elements they are used for",
            fmt::format("the first moment is off by {:.2g}", off.worst)};
}

} // namespace

std::optional<Cause> optimizer_state(Case const& c) {
    if (!c.specimen.first_step_right() || c.specimen.wrong("loss of step 2") ||
        c.specimen.wrong("norm of step 2"))
        return {};
    auto const names = c.specimen.parameters("weights");
    if (names.empty()) return {};
    Cause cause = cause_of_moments(moments_off(c, names), closeness(c));
    cause.evidence = "losses, gradients and norms of steps 1 and 2 agree, the weights after step 1 "
                     "too; later ones do not, and " +
                     cause.evidence;
    cause.parameters = names;
    cause.confidence = 0.9;
    return cause;
}

std::optional<Cause> order_of_sums(Case const& c) {
    if (!c.specimen.hash_differs || !c.specimen.figures.front().holds()) return {};
    return Cause{
        "order-of-sums",
        "the same numbers are added in another order than on one process",
        fmt::format(
            "every figure is within its bound (worst {:.2g} of it), but the weights have another "
            "SHA-256 than layouts of the same tensor size and packing",
            c.specimen.figures.front().share()),
        {},
        0.9};
}

} // namespace trireme::framework::parity
