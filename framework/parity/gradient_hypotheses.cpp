// Hypotheses about the gradients of step 1 where the forward pass is right, or scaled.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/model/layer_names.hpp"
#include "framework/parity/hypotheses.hpp"
#include "parallel/micro_batch_ranks.hpp"

namespace trireme::framework::parity {

bool explains(Case const& c, Fit const& f, std::vector<std::string> const& names) {
    double squares = 0;
    for (auto const& name : names) {
        at::Tensor const found = c.specimen.trace.gradient.at(name).to(at::kDouble);
        double const off = (found - c.lab.exact().gradient.at(name)).norm().item<double>();
        squares += std::pow(off / std::max(found.norm().item<double>(), 1e-300), 2);
    }
    double const unexplained = std::sqrt(squares / static_cast<double>(names.size()));
    return f.residual <= std::min(100 * closeness(c), 0.1) && f.residual < 0.3 * unexplained;
}

namespace {

std::vector<std::string> that_count(Case const& c) {
    std::vector<std::string> names;
    for (auto const& name : c.wrong)
        if (c.lab.counts(name) && c.specimen.trace.gradient.at(name).norm().item<double>() > 0)
            names.push_back(name);
    return names;
}

std::string why_that_factor(Case const& c, double factor) {
    auto const& l = c.specimen.layout;
    int const t = l.parallel.tensor, d = l.data(), p = l.parallel.pipeline;
    for (auto const& [size, what] : {std::pair{t, "tensor size"},
                                     {d, "number of data ranks"},
                                     {p, "pipeline depth"},
                                     {l.ranks(), "number of ranks"}}) {
        if (size == 1) continue;
        if (near(factor, 1.0 / size, 1e-2))
            return fmt::format("divided once too often by the {} ({})", what, size);
        if (near(factor, size, 1e-2))
            return fmt::format("added up once for each rank: times the {} ({})", what, size);
    }
    return "scaled by a constant";
}

// Gradients are sums over micro-batches: the weight with which each micro-batch went in says what
// happened to it.

Cause uniform_scale(Case const& c, double factor, std::vector<std::string> const& names,
                    Fit const& f) {
    bool const loss_too = near(first_loss(c), factor * c.lab.exact().losses.at(0), 1e-2);
    return {
        "loss-scale",
        fmt::format("{} {}", loss_too ? "the loss is" : "these gradients are",
                    why_that_factor(c, factor)),
        fmt::format("gradients are {:.4g} times the reference's to {:.1e}, the loss {:.4g} times",
                    factor, f.residual, first_loss(c) / c.lab.exact().losses.at(0)),
        names, kSure};
}

/// Weights that micro-batches have where means of means are taken; empty if they would all be 1.
struct Formula {
    char const* text;
    std::vector<double> weights;
};
std::vector<Formula> formulas_of_means(std::vector<std::int64_t> const& trained, int ranks) {
    auto const micro_batches = trained.size(), d = static_cast<std::size_t>(ranks);
    double const all = std::accumulate(trained.begin(), trained.end(), 0.0);
    std::vector<double> of_rank(d), micro_batches_of_rank(d);
    auto const rank = [d](std::size_t s) { return parallel::data_rank_of(s, d); };
    for (std::size_t s = 0; s < micro_batches; ++s) {
        of_rank[rank(s)] += static_cast<double>(trained[s]);
        micro_batches_of_rank[rank(s)] += 1;
    }
    Formula by_micro_batch{"the mean over micro-batches of their means", {}},
        by_rank{"the mean over data ranks of the mean over their labels", {}},
        by_both{"the mean over data ranks of the mean over their micro-batches of their means", {}};
    for (std::size_t s = 0; s < micro_batches; ++s) {
        double const own = std::max(1.0, static_cast<double>(trained[s]));
        by_micro_batch.weights.push_back(all / (static_cast<double>(micro_batches) * own));
        by_rank.weights.push_back(all / (ranks * std::max(1.0, of_rank[rank(s)])));
        by_both.weights.push_back(all / (ranks * micro_batches_of_rank[rank(s)] * own));
    }
    return {by_micro_batch, by_both, by_rank};
}

std::optional<Cause> means_averaged(Case const& c, Fit const& f,
                                    std::vector<std::int64_t> const& trained,
                                    std::vector<std::string> const& names) {
    for (auto const& formula : formulas_of_means(trained, c.specimen.layout.data())) {
        bool fits = true;
        for (std::size_t s = 0; s < trained.size(); ++s)
            fits &= trained[s] == 0 || near(f.weights[s], formula.weights[s], 2e-2);
        if (fits)
            return Cause{
                "means-averaged",
                fmt::format("{} is taken, not the mean over all trained labels", formula.text),
                fmt::format(
                    "micro-batches of {} trained labels went in with weights {:.3f}, as that "
                    "formula has it",
                    fmt::join(trained, ", "), fmt::join(f.weights, ", ")),
                names, kSure};
    }
    return {};
}

/// Data ranks none of whose micro-batches went in, if all micro-batches that are missing are theirs
/// and others have some.
std::vector<int> silent_ranks(Fit const& f, std::vector<std::int64_t> const& trained, int d) {
    std::vector<int> in(static_cast<std::size_t>(d)), out(in);
    for (std::size_t s = 0; s < trained.size(); ++s)
        if (trained[s] > 0)
            ++(std::abs(f.weights[s]) < 2e-2
                   ? out
                   : in)[parallel::data_rank_of(s, static_cast<std::size_t>(d))];
    std::vector<int> silent;
    bool whole = false;
    for (std::size_t r = 0; r < in.size(); ++r) {
        if (in[r] > 0 && out[r] > 0) return {};
        whole |= in[r] > 0;
        if (out[r] > 0) silent.push_back(static_cast<int>(r));
    }
    return whole ? silent : std::vector<int>{};
}

Cause ranks_not_summed(std::vector<int> const& ranks, Fit const& f,
                       std::vector<std::string> const& names) {
    return {"ranks-not-summed",
            fmt::format("gradients of data rank{} {} are not in the sum: it is not taken over all "
                        "data ranks",
                        ranks.size() > 1 ? "s" : "", fmt::join(ranks, ", ")),
            fmt::format("the gradient is the sum without any of their micro-batches, to {:.1e}",
                        f.residual),
            names, kSure};
}

/// Names micro-batches whose weight is 0 where all others have 1.
struct Missing {
    std::vector<std::string> names;
    bool last = true; ///< each is the last of its data rank
};

/// Empty if some weight is neither 0 nor 1.
std::optional<Missing> missing_in(Fit const& f, std::vector<std::int64_t> const& trained, int d) {
    Missing missing;
    auto const micro_batches = static_cast<int>(trained.size());
    for (int s = 0; s < micro_batches; ++s) {
        auto const i = static_cast<std::size_t>(s);
        if (trained[i] == 0 || near(f.weights[i], 1, 2e-2)) continue;
        if (!(std::abs(f.weights[i]) < 2e-2)) return {};
        missing.names.push_back(
            fmt::format("{} of data rank {}", s / d, parallel::data_rank_of(s, d)));
        missing.last &= s + d >= micro_batches;
    }
    return missing;
}

std::optional<Cause> micro_batches_missing(Case const& c, Fit const& f,
                                           std::vector<std::int64_t> const& trained,
                                           std::vector<std::string> const& names) {
    int const d = c.specimen.layout.data();
    auto const missing = missing_in(f, trained, d);
    if (!missing || missing->names.empty()) return {};
    if (auto const ranks = silent_ranks(f, trained, d); !ranks.empty())
        return ranks_not_summed(ranks, f, names);
    return Cause{"micro-batch-missing",
                 fmt::format("{} micro-batch is dropped on its way to these parameters",
                             missing->last ? "the last" : "a"),
                 fmt::format("the gradient is the sum without micro-batch {} (from 0), to {:.1e}",
                             fmt::join(missing->names, " and "), f.residual),
                 names, kSure};
}

} // namespace

/// Fits the layout's gradients by those of its micro-batches. Empty if that explains nothing.
static std::optional<Fit> fit_of_micro_batches(Case const& c, std::int64_t tokens,
                                               std::vector<std::string> const& names) {
    std::vector<Tensors const*> columns;
    for (auto const& micro_batch : c.lab.micro_batches(tokens))
        columns.push_back(&micro_batch.gradient);
    Fit f = fit(columns, c.specimen.trace.gradient, names);
    // A mistake in the code that scales micro-batches is in these columns too. The reference, which
    // is one micro-batch, says how much.
    Fit const right = fit(columns, c.lab.exact().gradient, names);
    if (!explains(c, f, names) || right.residual > 100 * closeness(c)) return {};
    for (std::size_t s = 0; s < columns.size(); ++s)
        if (right.weights[s] != 0) f.weights[s] /= right.weights[s];
    return f;
}

std::optional<Cause> micro_batch_weights(Case const& c) {
    auto const names = that_count(c);
    if (names.empty()) return {};
    auto const tokens = c.specimen.layout.tokens_per_micro_batch;
    auto const found = fit_of_micro_batches(c, tokens, names);
    if (!found) return {};
    Fit const& f = *found;
    auto const trained = c.lab.trained(tokens);
    std::vector<double> real;
    for (std::size_t s = 0; s < trained.size(); ++s)
        if (trained[s] > 0) real.push_back(f.weights[s]);
    auto const [low, high] = std::ranges::minmax(real);
    if (near(low, high, 1e-2)) return uniform_scale(c, 0.5 * (low + high), names, f);
    if (auto cause = micro_batches_missing(c, f, trained, names)) return cause;
    if (auto cause = means_averaged(c, f, trained, names)) return cause;
    return Cause{
        "micro-batch-weights", "micro-batches go into the gradient with unequal weights",
        fmt::format("weights {:.3f} explain it to {:.1e}", fmt::join(f.weights, ", "), f.residual),
        names, kLikely};
}

} // namespace trireme::framework::parity
