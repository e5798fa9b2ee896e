// Hypotheses about forward passes.
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
    if (!model::traits_of(model.head).of_vocabulary() || padded == model.vocabulary) return {};
    model::Config other = model;
    other.vocabulary = padded;
    Tensors weights = c.lab.problem().initial;
    std::string const head = model::head_names(model).language_model;
    for (auto const& name : {model::embedding_names(model).tokens, head})
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
             {model::layer_names(model, i).output.bias, model::layer_names(model, i).down.bias})
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

/// Says where a later tensor rank reads positions or segments instead of in its own stretch of the
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

data::MicroBatch misread(data::MicroBatch micro_batch, int ranks, Read const& read,
                         Stretch const& stretch) {
    auto const all = micro_batch;
    std::int64_t const rows = micro_batch.token_count() / ranks;
    for (std::int64_t i = rows; i < micro_batch.token_count(); ++i) {
        auto const from = static_cast<std::size_t>(
            std::clamp<std::int64_t>(stretch.index(i, rows), 0, micro_batch.token_count() - 1));
        if (read.positions)
            micro_batch.positions[static_cast<std::size_t>(i)] = all.positions[from];
        if (read.segments) micro_batch.segments[static_cast<std::size_t>(i)] = all.segments[from];
    }
    return micro_batch;
}

} // namespace

std::optional<Cause> sequence_offset(Case const& c) {
    auto const& layout = c.specimen.layout;
    auto const& problem = c.lab.problem();
    int const t = layout.parallel.tensor;
    if (t == 1 || problem.model.positions != model::Positions::learned ||
        !c.specimen.wrong("loss of step 1"))
        return {};
    // Positions key dropout masks too: without dropout they stand for themselves.
    double const found = c.lab.without_dropout(layout).trace.losses.at(0);
    double const right = c.lab.exact_without_dropout().losses.at(0);
    auto const plan = problem.plan(layout.tokens_per_micro_batch, 0);
    for (auto const& read : kReads)
        for (auto const& stretch : kStretches) {
            if (read.segments != read.positions && problem.model.token_types == 0) continue;
            std::vector<data::MicroBatch> micro_batches;
            for (auto const& micro_batch : plan.micro_batches)
                micro_batches.push_back(
                    misread(problem.data->read(micro_batch, t), t, read, stretch));
            double const variant =
                reference_variant(problem.without_dropout().model, problem.initial, micro_batches,
                                  problem.seed, problem.first_step,
                                  1.0 / static_cast<double>(plan.trained))
                    .loss;
            if (!near(found, variant, closeness(c)) ||
                std::abs(found - variant) > 0.1 * std::abs(found - right))
                continue;
            auto const embeddings = model::embedding_names(problem.model);
            return Cause{"sequence-offset",
                         fmt::format("tensor ranks after the first read {} {}, not in their own "
                                     "stretch of the sequence",
                                     read.text, stretch.text),
                         fmt::format("without dropout the first loss is {:.7f}, the reference's "
                                     "{:.7f}; with {} read "
                                     "{} it is {:.7f}",
                                     found, right, read.text, stretch.text, variant),
                         {read.positions ? embeddings.positions : embeddings.segments},
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
    if (c.specimen.layout.parallel.recompute == parallelize::Recompute::none)
        return Cause{"dropout-backward",
                     "the backward pass applies other dropout masks than the forward pass",
                     evidence + "; with dropout the first loss agrees and the gradients do not",
                     c.wrong, 0.9};
    return Cause{"dropout-recomputed",
                 "the recomputed forward pass draws other dropout masks than the first",
                 evidence + "; with dropout the first loss agrees and the gradients do not",
                 c.wrong, 0.9};
}

} // namespace trireme::framework::parity
