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

/// Returns the weights with rows of zeros that pad the vocabulary to `padded`.
static Tensors padded_weights(Problem const& problem, std::int64_t padded) {
    Tensors weights = problem.initial;
    std::int64_t const words = problem.model.vocabulary;
    for (auto const& name : {model::embedding_names(problem.model).tokens,
                             model::head_names(problem.model).language_model})
        if (weights.at(name).size(0) == words)
            weights[name] =
                at::cat({weights[name], at::zeros({padded - words, problem.model.hidden})});
    return weights;
}

std::optional<Cause> padding_counted(Case const& c) {
    if (!c.specimen.wrong("loss of step 1")) return {};
    model::Config other = c.lab.problem().model;
    std::int64_t const t = c.specimen.layout.parallel.tensor, words = other.vocabulary,
                       padded = (words + t - 1) / t * t;
    if (!model::traits_of(other.head).of_vocabulary() || padded == words) return {};
    other.vocabulary = padded;
    double const variant = c.lab.loss_at(other, padded_weights(c.lab.problem(), padded), 0);
    if (!loss_equals(c, variant)) return {};
    return Cause{
        "padding-counted",
        fmt::format("the {} rows that pad the vocabulary of {} to a multiple of the tensor size "
                    "count as classes in the loss",
                    padded - words, words),
        fmt::format("the first loss is {:.7f}, the reference's {:.7f}; with {} classes of score 0 "
                    "more it is {:.7f}",
                    first_loss(c), c.lab.exact().losses[0], padded - words, variant),
        {model::head_names(other).language_model},
        kSure};
}

/// Returns the biases that are added after a sum over tensor ranks.
static std::vector<std::string> biases_after_sums(model::Config const& model) {
    std::vector<std::string> biases;
    for (std::int64_t i = 0; i < model.layers; ++i)
        for (auto const& name :
             {model::layer_names(model, i).output.bias, model::layer_names(model, i).down.bias})
            if (!name.empty()) biases.push_back(name);
    return biases;
}

std::optional<Cause> bias_on_every_rank(Case const& c) {
    int const t = c.specimen.layout.parallel.tensor;
    if (t == 1 || !c.specimen.wrong("loss of step 1")) return {};
    auto const& model = c.lab.problem().model;
    auto const biases = biases_after_sums(model);
    if (biases.empty()) return {};
    Tensors weights = c.lab.problem().initial;
    for (auto const& name : biases) weights[name] = weights[name] * t;
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

/// Returns the loss of one process whose micro-batches, those of the layout's packing, are misread.
double misread_loss(Problem const& problem, Layout const& layout, Read const& read,
                    Stretch const& stretch) {
    int const t = layout.parallel.tensor;
    auto const plan = problem.plan(layout.tokens_per_micro_batch, 0);
    std::vector<data::MicroBatch> micro_batches;
    for (auto const& micro_batch : plan.micro_batches)
        micro_batches.push_back(misread(problem.data->read(micro_batch, t), t, read, stretch));
    return reference_variant(problem.without_dropout().model, problem.initial, micro_batches,
                             problem.seed, problem.first_step,
                             1.0 / static_cast<double>(plan.trained))
        .loss;
}

/// The first losses without dropout: of the layout, and of the reference.
struct Losses {
    double found, right;
};

/// Is the layout's loss that of a variant? Empty if it is not.
std::optional<Cause> misread_as(Case const& c, Losses const& losses, Read const& read,
                                Stretch const& stretch) {
    auto const& problem = c.lab.problem();
    double const variant = misread_loss(problem, c.specimen.layout, read, stretch);
    if (!near(losses.found, variant, closeness(c)) ||
        std::abs(losses.found - variant) > 0.1 * std::abs(losses.found - losses.right))
        return {};
    auto const embeddings = model::embedding_names(problem.model);
    return Cause{"sequence-offset",
                 fmt::format("tensor ranks after the first read {} {}, not in their own "
                             "stretch of the sequence",
                             read.text, stretch.text),
                 fmt::format("without dropout the first loss is {:.7f}, the reference's {:.7f}; "
                             "with {} read {} it is {:.7f}",
                             losses.found, losses.right, read.text, stretch.text, variant),
                 {read.positions ? embeddings.positions : embeddings.segments},
                 kSure};
}

} // namespace

std::optional<Cause> sequence_offset(Case const& c) {
    auto const& layout = c.specimen.layout;
    auto const& problem = c.lab.problem();
    if (layout.parallel.tensor == 1 || problem.model.positions != model::Positions::learned ||
        !c.specimen.wrong("loss of step 1"))
        return {};
    // Positions key dropout masks too: without dropout they stand for themselves.
    Losses const losses{c.lab.without_dropout(layout).trace.losses.at(0),
                        c.lab.exact_without_dropout().losses.at(0)};
    for (auto const& read : kReads)
        for (auto const& stretch : kStretches) {
            if (read.segments != read.positions && problem.model.token_types == 0) continue;
            if (auto cause = misread_as(c, losses, read, stretch)) return cause;
        }
    return {};
}

std::optional<Cause> dropout_masks(Case const& c) {
    if (c.wrong.empty()) return {};
    Specimen const& calm = c.lab.without_dropout(c.specimen.layout);
    if (!calm.figures.front().holds()) return {};
    std::string const evidence =
        fmt::format("with dropout at 0 everything agrees (worst figure {:.2g} of its bound); with "
                    "dropout the first loss ",
                    calm.figures.front().share());
    if (c.specimen.wrong("loss of step 1"))
        return Cause{"dropout-by-rank",
                     "dropout masks depend on the layout: a rank, or something that differs "
                     "between ranks, is in their key",
                     evidence + "differs already", c.wrong, 0.9};
    bool const again = c.specimen.layout.parallel.recompute != parallelize::Recompute::none;
    return Cause{again ? "dropout-recomputed" : "dropout-backward",
                 again ? "the recomputed forward pass draws other dropout masks than the first"
                       : "the backward pass applies other dropout masks than the forward pass",
                 evidence + "agrees and the gradients do not", c.wrong, 0.9};
}

} // namespace trireme::framework::parity
