#include "framework/parity/check.hpp"

#include <algorithm>
#include <map>

#include "cluster/error.hpp"

namespace trireme::framework::parity {

namespace {

/// The hash that layouts of one tensor size and packing must have: of one process, or of the first of them.
class Hashes {
  public:
    void set(int tensor, std::int64_t tokens_per_slot, std::string const& hash) {
        known_[{tensor, tokens_per_slot}] = hash;
    }
    bool differs(Layout const& l, std::string const& hash) {
        auto const [place, fresh] = known_.try_emplace({l.parallel.tensor, l.tokens_per_slot}, hash);
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
};

Reference make_reference(Problem const& problem) {
    Reference reference{exact_trace(problem), {}};
    std::vector<Errors> single;
    for (auto const tokens : packings()) {
        Trace const trace = single_trace(problem, tokens);
        single.push_back(errors_of(problem, trace, reference.exact));
        reference.hashes.set(1, tokens, trace.weights_sha256);
        for (auto const& [name, error] : single.back().gradient)
            if (reference.exact.gradient.at(name).norm().item<double>() > 1e-4 * reference.exact.norms[0])
                reference.single = std::max(reference.single, error);
    }
    reference.bounds = bounds_of(problem, reference.exact, single);
    return reference;
}

LayoutReport judge(Problem const& problem, Layout const& layout, Trace const& trace, Reference& reference) {
    LayoutReport report{{layout}, {}, {}};
    Errors const errors = errors_of(problem, trace, reference.exact);
    auto const all = figures(errors, reference.bounds);
    report.worst = all.front();
    report.gradient = *std::ranges::find(all, "gradient", &Figure::what);
    report.loss = *std::ranges::max_element(errors.losses);
    report.weights_sha256 = trace.weights_sha256;
    report.verdict.hash_differs =
        problem.numerics.mode == NumericsMode::bitwise && reference.hashes.differs(layout, trace.weights_sha256);
    report.verdict.passed = report.worst.holds() && !report.verdict.hash_differs;
    return report;
}

LayoutReport run_one(Problem const& problem, Layout const& layout, Runner const& run, Reference& reference) {
    try {
        return judge(problem, layout, run(problem, layout), reference);
    } catch (cluster::JobError const& error) {
        return {{layout, false, false, error.what()}, {}, {}};
    }
}

} // namespace

Report check(Problem const& problem, std::vector<Layout> const& layouts, Runner const& run,
             std::function<void(LayoutReport const&)> const& on_layout) {
    Reference reference = make_reference(problem);
    Report report{problem.task(),  shape_class(problem.model), problem.numerics, problem.seed, problem.steps,
                  reference.single};
    for (auto const& [name, bound] : reference.bounds.gradient)
        if (reference.exact.gradient.at(name).norm().item<double>() > 1e-4 * reference.exact.norms[0])
            report.bound = std::max(report.bound, bound);
    report.loss_bound = *std::ranges::max_element(reference.bounds.losses);
    std::vector<Verdict> verdicts;
    for (auto const& layout : layouts) {
        auto const& done = report.layouts.emplace_back(run_one(problem, layout, run, reference));
        verdicts.push_back(done.verdict);
        if (on_layout) on_layout(done);
    }
    if (std::ranges::find(verdicts, false, &Verdict::passed) == verdicts.end()) return report;
    Laboratory lab(problem, reference.exact, reference.bounds, run);
    report.diagnosis = diagnose(verdicts, lab);
    return report;
}

} // namespace trireme::framework::parity
