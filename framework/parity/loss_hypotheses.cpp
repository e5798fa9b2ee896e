// Hypotheses about forward passes, and about steps after the first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

namespace {

/// Does the layout's first loss, which is not the reference's, equal that of a variant?
bool loss_equals(Case const& c, double variant) {
    double const right = c.lab.exact().losses.at(0), off = std::abs(first_loss(c) - right);
    return near(first_loss(c), variant, closeness(c)) &&
           std::abs(first_loss(c) - variant) < 0.1 * off;
}

// Forward passes that differ: the loss of a variant of the reference, computed, must equal the
// layout's.

} // namespace

std::optional<Cause> padding_counted(Case const& c) {
    if (!c.specimen.wrong("loss of step 1")) return {};
    auto const& model = c.lab.problem().model;
    std::int64_t const t = c.specimen.layout.parallel.tensor,
                       padded = (model.vocabulary + t - 1) / t * t;
    if (model.head != HeadKind::language_model || padded == model.vocabulary) return {};
    ModelConfig other = model;
    other.vocabulary = padded;
    Tensors weights = c.lab.problem().initial;
    std::string const head = head_names(model).language_model;
    for (auto const& name : {stem_names(model).tokens, head})
        if (weights.at(name).size(0) == model.vocabulary)
            weights[name] =
                at::cat({weights[name], at::zeros({padded - model.vocabulary, model.hidden})});
    double const variant = c.lab.loss_at(other, weights, 0);
    if (!loss_equals(c, variant)) return {};
    return Cause{
        "padding-counted",
        fmt::format(
            "the {} rows that pad the vocabulary of {} to a multiple of the tensor size count as "
            "classes in the loss",
            padded - model.vocabulary, model.vocabulary),
        fmt::format("the first loss is {:.7f}, the reference's {:.7f}; with {} classes of score 0 "
                    "more it is "
                    "{:.7f}",
                    first_loss(c), c.lab.exact().losses[0], padded - model.vocabulary, variant),
        {head},
        kSure};
}

std::optional<Cause> bias_on_every_rank(Case const& c) {
    int const t = c.specimen.layout.parallel.tensor;
    if (t == 1 || !c.specimen.wrong("loss of step 1")) return {};
    auto const& model = c.lab.problem().model;
    Tensors weights = c.lab.problem().initial;
    std::vector<std::string> biases;
    for (std::int64_t i = 0; i < model.layers; ++i)
        for (auto const& name :
             {layer_names(model, i).output.bias, layer_names(model, i).down.bias})
            if (!name.empty()) {
                weights[name] = weights[name] * t;
                biases.push_back(name);
            }
    if (biases.empty()) return {};
    double const variant = c.lab.loss_at(model, weights, 0);
    if (!loss_equals(c, variant)) return {};
    return Cause{
        "bias-on-every-rank",
        "the bias of row-divided layers is added by every tensor rank, and then summed over them",
        fmt::format("the first loss is {:.7f}, the reference's {:.7f}; with these biases times {} "
                    "it is {:.7f}",
                    first_loss(c), c.lab.exact().losses[0], t, variant),
        biases, kSure};
}

namespace {

/// Where a later tensor rank reads positions or segments instead of in its own stretch of the
/// sequence.
struct Stretch {
    char const* text;
    std::int64_t (*index)(std::int64_t own, std::int64_t rows);
};
constexpr Stretch kStretches[] = {
    {"one token too early", [](std::int64_t own, std::int64_t) { return own - 1; }},
    {"one token too late", [](std::int64_t own, std::int64_t) { return own + 1; }},
    {"in the first rank's stretch",
     [](std::int64_t own, std::int64_t rows) { return own % rows; }}};
struct Read {
    char const* text;
    bool positions, segments;
};
constexpr Read kReads[] = {
    {"positions", true, true}, {"positions alone", true, false}, {"segments", false, true}};

data::Slot misread(data::Slot slot, int ranks, Read const& read, Stretch const& stretch) {
    auto const all = slot;
    std::int64_t const rows = slot.token_count() / ranks;
    for (std::int64_t i = rows; i < slot.token_count(); ++i) {
        auto const from = static_cast<std::size_t>(
            std::clamp<std::int64_t>(stretch.index(i, rows), 0, slot.token_count() - 1));
        if (read.positions) slot.positions[static_cast<std::size_t>(i)] = all.positions[from];
        if (read.segments) slot.segments[static_cast<std::size_t>(i)] = all.segments[from];
    }
    return slot;
}

} // namespace

std::optional<Cause> sequence_offset(Case const& c) {
    auto const& layout = c.specimen.layout;
    auto const& problem = c.lab.problem();
    int const t = layout.parallel.tensor;
    if (t == 1 || problem.model.positions != Positions::learned ||
        !c.specimen.wrong("loss of step 1"))
        return {};
    // Positions key dropout masks too: without dropout they stand for themselves.
    double const found = c.lab.without_dropout(layout).trace.losses.at(0);
    double const right = c.lab.exact_without_dropout().losses.at(0);
    auto const plan = problem.plan(layout.tokens_per_slot, 0);
    for (auto const& read : kReads)
        for (auto const& stretch : kStretches) {
            if (read.segments != read.positions && problem.model.token_types == 0) continue;
            std::vector<data::Slot> slots;
            for (auto const& slot : plan.slots)
                slots.push_back(misread(problem.data.read(slot, t), t, read, stretch));
            double const variant =
                reference_variant(problem.without_dropout().model, problem.initial, slots,
                                  problem.seed, 0, 1.0 / static_cast<double>(plan.trained))
                    .loss;
            if (!near(found, variant, closeness(c)) ||
                std::abs(found - variant) > 0.1 * std::abs(found - right))
                continue;
            auto const stem = stem_names(problem.model);
            return Cause{"sequence-offset",
                         fmt::format("tensor ranks after the first read {} {}, not in their own "
                                     "stretch of the sequence",
                                     read.text, stretch.text),
                         fmt::format("without dropout the first loss is {:.7f}, the reference's "
                                     "{:.7f}; with {} read "
                                     "{} it is {:.7f}",
                                     found, right, read.text, stretch.text, variant),
                         {read.positions ? stem.positions : stem.segments},
                         kSure};
        }
    return {};
}

std::optional<Cause> dropout_masks(Case const& c) {
    if (c.wrong.empty()) return {};
    Specimen const& calm = c.lab.without_dropout(c.specimen.layout);
    if (!calm.figures.front().holds()) return {};
    bool const forward = c.specimen.wrong("loss of step 1");
    std::string const evidence =
        fmt::format("with dropout at 0 everything agrees (worst figure {:.2g} of its bound)",
                    calm.figures.front().share());
    if (forward)
        return Cause{"dropout-by-rank",
                     "dropout masks depend on the layout: a rank, or something that differs "
                     "between ranks, is in their key",
                     evidence + "; with dropout the first loss differs already", c.wrong, 0.9};
    if (c.specimen.layout.parallel.recompute == "none")
        return Cause{"dropout-backward",
                     "the backward pass applies other dropout masks than the forward pass",
                     evidence + "; with dropout the first loss agrees and the gradients do not",
                     c.wrong, 0.9};
    return Cause{"dropout-recomputed",
                 "the recomputed forward pass draws other dropout masks than the first",
                 evidence + "; with dropout the first loss agrees and the gradients do not",
                 c.wrong, 0.9};
}

namespace {

// Step 1 is right, later ones are not.

bool first_step_right(Case const& c) {
    return c.wrong.empty() && !c.specimen.wrong("loss of step 1") &&
           !c.specimen.wrong("norm of step 1") && !c.specimen.wrong("first moment") &&
           !c.specimen.wrong("weights after step 1");
}

} // namespace

namespace {

/// Weights after step 1, some of which are still those of before.
struct Stale {
    std::string text;
    ModelConfig model;
    Tensors weights;
    std::vector<std::string> parameters;
};

std::vector<Stale> stale_parts(Case const& c) {
    ModelConfig const& model = c.lab.problem().model;
    Tensors const &before = c.lab.problem().initial, &after = c.lab.exact().first;
    std::vector<Stale> all{{"all weights", model, before, {}}};
    for (auto const& spec : parameter_specs(model)) {
        if (all.back().text != spec.unit) all.push_back({spec.unit, model, after, {}});
        all.back().weights[spec.name] = before.at(spec.name);
        all.back().parameters.push_back(spec.name);
    }
    if (!model.tied_embeddings || model.head != HeadKind::language_model) return all;
    std::string const table = stem_names(model).tokens;
    ModelConfig untied = model;
    untied.tied_embeddings = false;
    Tensors weights = after;
    weights[head_names(untied).language_model] = before.at(table);
    all.push_back({"the tied embedding as the output uses it", untied, weights, {table}});
    return all;
}

} // namespace

std::optional<Cause> stale_weights(Case const& c) {
    if (!first_step_right(c) || !c.specimen.wrong("loss of step 2")) return {};
    double const found = c.specimen.trace.losses.at(1), right = c.lab.exact().losses.at(1);
    std::string const numbers = fmt::format("step 1 and the weights after it agree; the loss of "
                                            "step 2 is {:.7f}, the reference's {:.7f}",
                                            found, right);
    for (auto const& part : stale_parts(c)) {
        double const variant = c.lab.loss_at(part.model, part.weights, 1);
        if (!near(found, variant, closeness(c)) ||
            std::abs(found - variant) > 0.1 * std::abs(found - right))
            continue;
        return Cause{
            "stale-weights",
            fmt::format("the forward pass of step 2 computes with weights of before the update "
                        "({}): a stale "
                        "gather or copy",
                        part.text),
            fmt::format("{}, with these weights of before the update {:.7f}", numbers, variant),
            part.parameters, kSure};
    }
    return Cause{"partly-stale-weights",
                 "part of step 2 computes with other weights than the update made",
                 numbers,
                 {},
                 kLikely};
}

std::optional<Cause> optimizer_state(Case const& c) {
    if (!first_step_right(c) || c.specimen.wrong("loss of step 2") ||
        c.specimen.wrong("norm of step 2"))
        return {};
    auto const names = c.specimen.parameters("weights");
    if (names.empty()) return {};
    double worst = 0, most = 0, least = 1e300; // how far the moments are off, and by which factors
    for (auto const& name : names) {
        if (!c.lab.counts(name)) continue;
        at::Tensor const exact = c.lab.exact().moments.at(name),
                         found = c.specimen.trace.moments.at(name);
        double const squares = std::max(1e-60, exact.square().sum().item<double>());
        double const factor = (found.to(at::kDouble) * exact).sum().item<double>() / squares;
        worst = std::max(worst, (found.to(at::kDouble) - exact).norm().item<double>() /
                                    std::sqrt(squares));
        most = std::max(most, factor), least = std::min(least, factor);
    }
    std::string const agree =
        "losses, gradients and norms of steps 1 and 2 agree, the weights after step 1 too; ";
    if (worst <= 100 * closeness(c))
        return Cause{"later-update",
                     "the update of a later step is wrong where its first moment is right: the "
                     "second moment, the "
                     "correction of either for the step's number, or the rate",
                     fmt::format("{}later ones do not, and the first moment is off by {:.2g} alone",
                                 agree, worst),
                     names, 0.9};
    double const off = std::abs(most - 1);
    if (off > 1e-2 && near(most, least, 1e-2) && worst < 1.1 * off)
        return Cause{
            "moment-scale",
            "what the moments took of the gradients of a later step is scaled: its clip, or a "
            "decay of the "
            "moment",
            fmt::format(
                "{}later ones do not, and the first moment is {:.4g} times what it should be",
                agree, most),
            names, 0.9};
    return Cause{
        "optimizer-state",
        "the optimizer's moments are lost, or not those of the elements they are used for",
        fmt::format("{}later ones do not, and the first moment is off by {:.2g}", agree, worst),
        names, 0.9};
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
