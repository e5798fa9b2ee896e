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

struct Reference {
    Trace exact;
    Bounds bounds;
    double single = 0;
    Hashes hashes;
    /// bf16: of one process, or of the first layout of that tensor size and packing.
    std::map<std::pair<int, std::int64_t>, Trace> alike = {};
};

Reference make_reference(Problem const& problem, Trace exact) {
    Reference reference{std::move(exact), {}};
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

LayoutReport judge(Problem const& problem, Layout const& layout, Trace const& trace,
                   Reference& reference) {
    LayoutReport report;
    report.outcome.layout = layout;
    Errors const errors = errors_of(problem, trace, reference.exact);
    auto all = figures(errors, reference.bounds);
    if (problem.numerics.compute == parallelize::Compute::bf16) {
        for (auto const& f :
             figures_along(trace, reference.alike.at({1, layout.tokens_per_micro_batch})))
            all.push_back(f);
        auto const [like, fresh] = reference.alike.try_emplace(
            {layout.parallel.tensor, layout.tokens_per_micro_batch}, trace);
        if (!fresh)
            for (auto const& f : figures_alike(trace, like->second)) all.push_back(f);
        worst_first(all);
    }
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
                     Reference& reference) {
    try {
        return judge(problem, layout, run(problem, layout), reference);
    } catch (cluster::JobError const& error) {
        LayoutReport report;
        report.outcome = {layout, false, false, error.what()};
        return report;
    }
}

double largest_bound(Reference const& reference) {
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

Diagnosis diagnose_in(Problem const& problem, Reference const& reference,
                      std::vector<LayoutOutcome> const& outcomes, Runner const& run) {
    Laboratory lab(problem, reference.exact, reference.bounds, run);
    return diagnose(outcomes, lab);
}

/// bf16 alone is wrong: float32 agrees, so that what is left is what depends on the type.
Diagnosis diagnose_alone(std::vector<LayoutReport> const& layouts,
                         std::vector<LayoutOutcome> const& outcomes) {
    auto const& worst = *std::ranges::max_element(layouts, {}, [](auto const& l) {
        return l.outcome.error.empty() ? l.worst.share() : 1e300;
    });
    Figure const& f = worst.worst;
    std::string const evidence =
        worst.outcome.error.empty()
            ? fmt::format(
                  "in float32 everything agrees; in bfloat16 the {}{} is {:.2g}, bound {:.2g}",
                  f.what, f.parameter.empty() ? "" : " of " + f.parameter, f.error, f.bound)
            : worst.outcome.error;
    std::vector<std::string> names;
    if (!f.parameter.empty()) names.push_back(f.parameter);
    return {pattern_of(outcomes),
            name_of(worst.outcome.layout),
            {{"bf16-alone",
              "something that is done in bfloat16 alone: a cast, a sum in a narrow type, a branch "
              "on the type",
              evidence, names, kLikely}}};
}

} // namespace

Report check(Problem const& problem, std::vector<Layout> const& layouts, Runner const& run,
             std::function<void(LayoutReport const&)> const& on_layout) {
    Reference reference = make_reference(problem, exact_trace(problem));
    Report report{problem.task(),   shape_class(problem.model),
                  problem.numerics, problem.seed,
                  problem.steps,    reference.single};
    report.bound = largest_bound(reference);
    report.loss_bound = *std::ranges::max_element(reference.bounds.losses);
    Problem float32 = problem;
    float32.numerics.compute = parallelize::Compute::fp32;
    std::optional<Reference> finer;
    if (problem.numerics.compute == parallelize::Compute::bf16)
        finer = make_reference(float32, reference.exact);
    if (finer) report.float32_bound = largest_bound(*finer);
    std::vector<LayoutOutcome> outcomes, finer_verdicts;
    for (auto const& layout : layouts) {
        LayoutReport done = run_one(problem, layout, run, reference);
        if (finer) {
            auto const other = run_one(float32, layout, run, *finer);
            finer_verdicts.push_back(other.outcome);
            done.float32 = other.worst;
            done.float32_error = other.outcome.error;
            done.outcome.passed &= other.outcome.passed;
            done.outcome.hash_differs |= other.outcome.hash_differs;
        }
        outcomes.push_back(done.outcome);
        report.layouts.push_back(done);
        if (on_layout) on_layout(done);
    }
    if (!any_failed(outcomes)) return report;
    if (!finer)
        report.diagnosis = diagnose_in(problem, reference, outcomes, run);
    else if (any_failed(finer_verdicts))
        report.diagnosis = diagnose_in(float32, *finer, finer_verdicts, run);
    else
        report.diagnosis = diagnose_alone(report.layouts, outcomes);
    return report;
}

} // namespace trireme::framework::parity
