// Hypotheses about the gradients of step 1 where the forward pass is right, or scaled.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/model/layer_names.hpp"
#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

namespace {

std::vector<std::string> that_count(Case const& c) {
    std::vector<std::string> names;
    for (auto const& name : c.wrong)
        if (c.lab.counts(name) && c.specimen.trace.gradient.at(name).norm().item<double>() > 0)
            names.push_back(name);
    return names;
}

bool all_of(std::vector<std::string> const& names, auto const& holds) {
    return !names.empty() && std::ranges::all_of(names, holds);
}

/// Does a fit explain the layout's gradients? It must come close, and closer by far than the right
/// gradient itself: weights that are all 1 explain nothing.
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

// Gradients are sums over slots: the weight with which each slot went in says what happened to it.

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

/// Weights that slots have where means of means are taken; empty if they would all be 1.
struct Formula {
    char const* text;
    std::vector<double> weights;
};
std::vector<Formula> formulas_of_means(std::vector<std::int64_t> const& trained, int ranks) {
    auto const slots = trained.size(), d = static_cast<std::size_t>(ranks);
    double const all =
        static_cast<double>(std::accumulate(trained.begin(), trained.end(), std::int64_t{0}));
    std::vector<double> of_rank(d), slots_of_rank(d);
    for (std::size_t s = 0; s < slots; ++s) {
        of_rank[s % d] += static_cast<double>(trained[s]);
        slots_of_rank[s % d] += 1;
    }
    Formula by_slot{"the mean over micro-batches of their means", {}},
        by_rank{"the mean over data ranks of the mean over their labels", {}},
        by_both{"the mean over data ranks of the mean over their micro-batches of their means", {}};
    for (std::size_t s = 0; s < slots; ++s) {
        double const own = std::max(1.0, static_cast<double>(trained[s]));
        by_slot.weights.push_back(all / (static_cast<double>(slots) * own));
        by_rank.weights.push_back(all / (ranks * std::max(1.0, of_rank[s % d])));
        by_both.weights.push_back(all / (ranks * slots_of_rank[s % d] * own));
    }
    return {by_slot, by_both, by_rank};
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
                fmt::format("slots of {} trained labels went in with weights {:.3f}, as that "
                            "formula has it",
                            fmt::join(trained, ", "), fmt::join(f.weights, ", ")),
                names, kSure};
    }
    return {};
}

/// Data ranks none of whose slots went in, if all slots that are missing are theirs and others have
/// some.
std::vector<int> silent_ranks(Fit const& f, std::vector<std::int64_t> const& trained, int d) {
    std::vector<int> in(static_cast<std::size_t>(d)), out(in);
    for (std::size_t s = 0; s < trained.size(); ++s)
        if (trained[s] > 0)
            ++(std::abs(f.weights[s]) < 2e-2 ? out : in)[s % static_cast<std::size_t>(d)];
    std::vector<int> silent;
    bool whole = false;
    for (std::size_t r = 0; r < in.size(); ++r) {
        if (in[r] > 0 && out[r] > 0) return {};
        whole |= in[r] > 0;
        if (out[r] > 0) silent.push_back(static_cast<int>(r));
    }
    return whole ? silent : std::vector<int>{};
}

std::optional<Cause> slots_missing(Case const& c, Fit const& f,
                                   std::vector<std::int64_t> const& trained,
                                   std::vector<std::string> const& names) {
    std::vector<std::string> missing;
    auto const slots = static_cast<int>(trained.size()), d = c.specimen.layout.data();
    bool last = true;
    for (int s = 0; s < slots; ++s) {
        auto const i = static_cast<std::size_t>(s);
        if (trained[i] == 0) continue;
        bool const absent = std::abs(f.weights[i]) < 2e-2;
        if (!absent && !near(f.weights[i], 1, 2e-2)) return {};
        if (absent) {
            missing.push_back(fmt::format("{} of data rank {}", s / d, s % d));
            last &= s + d >= slots;
        }
    }
    if (missing.empty()) return {};
    if (auto const ranks = silent_ranks(f, trained, d); !ranks.empty())
        return Cause{
            "ranks-not-summed",
            fmt::format("gradients of data rank{} {} are not in the sum: it is not taken over all "
                        "data ranks",
                        ranks.size() > 1 ? "s" : "", fmt::join(ranks, ", ")),
            fmt::format("the gradient is the sum without any of their micro-batches, to {:.1e}",
                        f.residual),
            names, kSure};
    return Cause{"slot-missing",
                 fmt::format("{} micro-batch is dropped on its way to these parameters",
                             last ? "the last" : "a"),
                 fmt::format("the gradient is the sum without micro-batch {} (from 0), to {:.1e}",
                             fmt::join(missing, " and "), f.residual),
                 names, kSure};
}

} // namespace

std::optional<Cause> slot_weights(Case const& c) {
    auto const names = that_count(c);
    if (names.empty()) return {};
    auto const tokens = c.specimen.layout.tokens_per_slot;
    std::vector<Tensors const*> columns;
    for (auto const& slot : c.lab.slots(tokens)) columns.push_back(&slot.gradient);
    Fit f = fit(columns, c.specimen.trace.gradient, names);
    // A mistake in the code that scales slots is in these columns too. The reference, which is one
    // slot, says how much.
    Fit const right = fit(columns, c.lab.exact().gradient, names);
    if (!explains(c, f, names) || right.residual > 100 * closeness(c)) return {};
    for (std::size_t s = 0; s < columns.size(); ++s)
        if (right.weights[s] != 0) f.weights[s] /= right.weights[s];
    auto const trained = c.lab.trained(tokens);
    std::vector<double> real;
    for (std::size_t s = 0; s < trained.size(); ++s)
        if (trained[s] > 0) real.push_back(f.weights[s]);
    auto const [low, high] = std::ranges::minmax(real);
    if (near(low, high, 1e-2)) return uniform_scale(c, 0.5 * (low + high), names, f);
    if (auto cause = slots_missing(c, f, trained, names)) return cause;
    if (auto cause = means_averaged(c, f, trained, names)) return cause;
    return Cause{
        "slot-weights", "micro-batches go into the gradient with unequal weights",
        fmt::format("weights {:.3f} explain it to {:.1e}", fmt::join(f.weights, ", "), f.residual),
        names, kLikely};
}

namespace {

// Parameters that more than one use, rank or stage adds to.

} // namespace

std::optional<Cause> tied_use_missing(Case const& c) {
    auto const uses = c.lab.tied_uses();
    std::string const table = stem_names(c.lab.problem().model).tokens;
    if (!uses || c.wrong != std::vector{table}) return {};
    Tensors const stem{{table, uses->first}}, head{{table, uses->second}};
    Fit const f = fit({&stem, &head}, c.specimen.trace.gradient, {table});
    if (!explains(c, f, {table})) return {};
    double const a = f.weights[0], b = f.weights[1];
    std::string const evidence =
        fmt::format("it is {:.3f} x the input's part + {:.3f} x the output's part, to {:.1e}; "
                    "the loss and all other gradients agree",
                    a, b, f.residual);
    bool const across = c.specimen.layout.parallel.pipeline > 1;
    std::string const where =
        across ? "between the first and the last pipeline stage" : "within one stage";
    for (auto const& [weight, other, what] : {std::tuple{b, a, "output"}, {a, b, "input"}})
        if (std::abs(weight) < 2e-2 && near(other, 1, 2e-2))
            return Cause{
                "tied-missing",
                fmt::format(
                    "the tied embedding lacks the gradient of its use at the {}: not added {}",
                    what, where),
                evidence, c.wrong, kSure};
    return Cause{"tied-weights",
                 "the two uses of the tied embedding are added with wrong weights " + where,
                 evidence, c.wrong, kSure};
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
    double most = 0, least = 1e300;
    for (auto const& n : c.wrong) {
        if (!c.lab.counts(n)) continue;
        most = std::max(most, copies_apart(c, n));
        least = std::min(least, copies_apart(c, n));
    }
    std::string const evidence = fmt::format("copies on the tensor ranks differ by {:.2g} of the "
                                             "gradient; the loss and all other gradients agree",
                                             most);
    if (most == 0)
        return Cause{"copies-sum",
                     "the sum over tensor ranks of gradients of which each holds a copy is wrong",
                     "only gradients of norm layers, of biases after a sum, of position tables or "
                     "of shared key heads are "
                     "wrong, and their copies agree",
                     c.wrong, kLikely};
    if (least <= 1e-3) return {};
    if (all_of(c.wrong, partial))
        return Cause{"stretches-not-summed",
                     fmt::format("gradients of {} are not summed over the tensor ranks: each keeps "
                                 "its own stretch of "
                                 "the sequence (sequence parallelism)",
                                 kinds_of(c)),
                     evidence, c.wrong, kSure};
    if (all_of(c.wrong, shared))
        return Cause{"key-heads-not-summed",
                     "gradients of key and value heads that tensor ranks share are not summed over "
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

std::optional<Cause> norm_counts_copies(Case const& c) {
    if (!c.wrong.empty() || !c.specimen.wrong("norm of step 1")) return {};
    auto const& layout = c.specimen.layout;
    double const found = c.specimen.trace.norms.at(0), right = c.lab.exact().norms.at(0);
    double squares = 0;
    for (auto const& [name, g] : c.lab.exact().gradient)
        squares += c.lab.copies(name, layout) * std::pow(g.norm().item<double>(), 2);
    std::string const evidence =
        fmt::format("every gradient agrees, but the norm is {:.6g} where the reference has {:.6g}",
                    found, right);
    if (near(found, std::sqrt(squares), 10 * closeness(c)))
        return Cause{
            "norm-counts-copies",
            "the gradient norm counts parameters that tensor ranks hold copies of once per copy",
            evidence + ": what that gives",
            {},
            kSure};
    for (auto const& [size, what] : {std::pair{layout.parallel.tensor, "tensor rank"},
                                     {layout.data(), "data rank"},
                                     {layout.parallel.pipeline, "pipeline stage"}})
        if (size > 1 && near(found, right * std::sqrt(size), 1e-3))
            return Cause{"norm-counts-copies",
                         fmt::format("the gradient norm counts every element once per {}", what),
                         evidence + fmt::format(": sqrt({}) times", size),
                         {},
                         kSure};
    return Cause{
        "norm", "the gradient norm, and with it clipping, is wrong", evidence, {}, kLikely};
}

} // namespace trireme::framework::parity
