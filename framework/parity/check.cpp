#include "framework/parity/check.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cluster/error.hpp"

namespace trireme::framework::parity {

namespace {

/// The hash that layouts of one tensor size and packing must have: of one process, or of the first
/// of them.
class Hashes {
  public:
    void set(int tensor, std::int64_t tokens_per_micro_batch, std::string const& hash) {
        known_[{tensor, tokens_per_micro_batch}] = hash;
    }
    bool differs(Layout const& l, std::string const& hash) {
        auto const [place, fresh] =
            known_.try_emplace({l.parallel.tensor, l.tokens_per_micro_batch}, hash);
        return !fresh && place->second != hash;
    }

  private:
    std::map<std::pair<int, std::int64_t>, std::string> known_;
};

struct Expected {
    Trace exact;
    Bounds bounds;
    double single = 0;
    Hashes hashes;
    /// bf16: of one process, or of the first layout of that tensor size and packing.
    std::map<std::pair<int, std::int64_t>, Trace> alike = {};
};

Expected make_reference(Problem const& problem, Trace exact) {
    Expected reference{std::move(exact), {}};
    std::vector<Errors> single;
    for (auto const tokens : packings()) {
        Trace const trace = single_trace(problem, tokens);
        single.push_back(errors_of(problem, trace, reference.exact));
        reference.hashes.set(1, tokens, trace.weights_sha256);
        for (auto const& [name, error] : single.back().gradient)
            if (reference.exact.gradient.at(name).norm().item<double>() >
                1e-4 * reference.exact.norms[0])
                reference.single = std::max(reference.single, error);
        if (problem.numerics.compute == parallelize::Compute::bf16)
            reference.alike.try_emplace({1, tokens}, trace);
    }
    reference.bounds = bounds_of(problem, reference.exact, single);
    return reference;
}

/// Adds what bf16 alone has: figures beside one process, and beside the first layout of the same
/// tensor size and packing, where every number must come out alike.
void add_figures_of_bf16(std::vector<Figure>& all, Layout const& layout, Trace const& trace,
                         Expected& reference) {
    for (auto const& f :
         figures_along(trace, reference.alike.at({1, layout.tokens_per_micro_batch})))
        all.push_back(f);
    auto const [like, fresh] =
        reference.alike.try_emplace({layout.parallel.tensor, layout.tokens_per_micro_batch}, trace);
    if (!fresh)
        for (auto const& f : figures_alike(trace, like->second)) all.push_back(f);
    worst_first(all);
}

LayoutReport judge(Problem const& problem, Layout const& layout, Trace const& trace,
                   Expected& reference) {
    LayoutReport report;
    report.outcome.layout = layout;
    Errors const errors = errors_of(problem, trace, reference.exact);
    auto all = figures(errors, reference.bounds);
    if (problem.numerics.compute == parallelize::Compute::bf16)
        add_figures_of_bf16(all, layout, trace, reference);
    report.worst = all.front();
    report.gradient = *std::ranges::find(all, "gradient", &Figure::what);
    report.loss = *std::ranges::max_element(errors.losses);
    report.weights_sha256 = trace.weights_sha256;
    report.outcome.hash_differs = problem.numerics.mode == parallelize::NumericsMode::bitwise &&
                                  reference.hashes.differs(layout, trace.weights_sha256);
    report.outcome.passed = report.worst.holds() && !report.outcome.hash_differs;
    return report;
}

LayoutReport run_one(Problem const& problem, Layout const& layout, Runner const& run,
                     Expected& reference) {
    try {
        return judge(problem, layout, run(problem, layout), reference);
    } catch (cluster::JobError const& error) {
        LayoutReport report;
        report.outcome = {layout, false, false, error.what()};
        return report;
    }
}

double largest_bound(Expected const& reference) {
    double largest = 0;
    for (auto const& [name, bound] : reference.bounds.gradient)
        if (reference.exact.gradient.at(name).norm().item<double>() >
            1e-4 * reference.exact.norms[0])
            largest = std::max(largest, bound);
    return largest;
}

bool any_failed(std::vector<LayoutOutcome> const& outcomes) {
    return std::ranges::find(outcomes, false, &LayoutOutcome::passed) != outcomes.end();
}

Diagnosis diagnose_in(Problem const& problem, Expected const& reference,
                      std::vector<LayoutOutcome> const& outcomes, Runner const& run) {
    Laboratory lab(problem, reference.exact, reference.bounds, run);
    return diagnose(outcomes, lab);
}

std::string evidence_of_bf16(LayoutReport const& worst) {
    if (!worst.outcome.error.empty()) return worst.outcome.error;
    Figure const& f = worst.worst;
    return fmt::format("in float32 everything agrees; in bfloat16 the {}{} is {:.2g}, bound {:.2g}",
                       f.what, f.parameter.empty() ? "" : " of " + f.parameter, f.error, f.bound);
}

/// bf16 alone is wrong: float32 agrees, so that what is left is what depends on the type.
Diagnosis diagnose_alone(std::vector<LayoutReport> const& layouts,
                         std::vector<LayoutOutcome> const& outcomes) {
    auto const& worst = *std::ranges::max_element(layouts, {}, [](auto const& l) {
        return l.outcome.error.empty() ? l.worst.share() : 1e300;
    });
    std::vector<std::string> names;
    if (!worst.worst.parameter.empty()) names.push_back(worst.worst.parameter);
    return {pattern_of(outcomes),
            name_of(worst.outcome.layout),
            {{"bf16-alone",
              "something that is done in bfloat16 alone: a cast, a sum in a narrow type, a branch "
              "on the type",
              evidence_of_bf16(worst), names, kLikely}}};
}

/// The problem in float32, beside which one in bfloat16 is checked as well.
struct Finer {
    Problem problem;
    Expected reference;
    std::vector<LayoutOutcome> outcomes = {};

    /// Runs the layout in float32, and lets `done` pass only if it passes there too.
    void add_to(LayoutReport& done, Layout const& layout, Runner const& run) {
        auto const other = run_one(problem, layout, run, reference);
        outcomes.push_back(other.outcome);
        done.float32 = other.worst;
        done.float32_error = other.outcome.error;
        done.outcome.passed &= other.outcome.passed;
        done.outcome.hash_differs |= other.outcome.hash_differs;
    }
};

/// A mistake that float32 shows too is looked for there, where numbers are closer.
Diagnosis diagnose_beside(Finer const& finer, std::vector<LayoutReport> const& layouts,
                          std::vector<LayoutOutcome> const& outcomes, Runner const& run) {
    return any_failed(finer.outcomes)
               ? diagnose_in(finer.problem, finer.reference, finer.outcomes, run)
               : diagnose_alone(layouts, outcomes);
}

std::optional<Finer> finer_of(Problem const& problem, Trace const& exact) {
    if (problem.numerics.compute != parallelize::Compute::bf16) return std::nullopt;
    Problem float32 = problem;
    float32.numerics.compute = parallelize::Compute::fp32;
    Expected reference = make_reference(float32, exact);
    return Finer{std::move(float32), std::move(reference)};
}

Report empty_report(Problem const& problem, Expected const& reference) {
    Report report{problem.task(),   shape_class(problem.model),
                  problem.numerics, problem.seed,
                  problem.steps,    reference.single};
    report.bound = largest_bound(reference);
    report.loss_bound = *std::ranges::max_element(reference.bounds.losses);
    return report;
}

} // namespace

Report check(Problem const& problem, std::vector<Layout> const& layouts, Runner const& run,
             std::function<void(LayoutReport const&)> const& on_layout) {
    Expected reference = make_reference(problem, exact_trace(problem));
    Report report = empty_report(problem, reference);
    auto finer = finer_of(problem, reference.exact);
    if (finer) report.float32_bound = largest_bound(finer->reference);
    std::vector<LayoutOutcome> outcomes;
    for (auto const& layout : layouts) {
        LayoutReport done = run_one(problem, layout, run, reference);
        if (finer) finer->add_to(done, layout, run);
        outcomes.push_back(done.outcome);
        report.layouts.push_back(done);
        if (on_layout) on_layout(done);
    }
    if (any_failed(outcomes))
        report.diagnosis = finer ? diagnose_beside(*finer, report.layouts, outcomes, run)
                                 : diagnose_in(problem, reference, outcomes, run);
    return report;
}

} // namespace trireme::framework::parity
