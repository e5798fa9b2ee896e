#include "framework/parity/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "framework/parity/later_step.hpp"
#include "framework/parity/where.hpp"

namespace trireme::framework::parity {

namespace {

constexpr int kSpecimens = 3; ///< examined at most, until one is explained

/// A feature, or two together, and which of the outcomes' layouts have it.
struct Group {
    std::string name;
    std::vector<bool> holds;
    std::size_t failing = 0, passing = 0;
};

void add(std::vector<Group>& groups, std::vector<LayoutOutcome> const& outcomes, std::string name,
         auto const& holds) {
    Group group{std::move(name), {}};
    for (auto const& v : outcomes) {
        group.holds.push_back(holds(v.layout));
        if (group.holds.back()) ++(v.passed ? group.passing : group.failing);
    }
    bool const tells =
        group.failing + group.passing > 0 && group.failing + group.passing < outcomes.size();
    if (tells && std::ranges::find(groups, group.holds, &Group::holds) == groups.end())
        groups.push_back(std::move(group));
}

using Degree = std::int64_t (*)(Layout const&);
constexpr std::pair<char const*, Degree> kDegrees[] = {
    {"tensor", [](Layout const& l) { return std::int64_t{l.parallel.tensor}; }},
    {"pipeline", [](Layout const& l) { return std::int64_t{l.parallel.pipeline}; }},
    {"shard", [](Layout const& l) { return std::int64_t{l.parallel.shard}; }},
    {"replicate", [](Layout const& l) { return std::int64_t{l.parallel.replicate}; }},
    {"zero", [](Layout const& l) { return std::int64_t{l.parallel.zero}; }},
    {"micro-batches of", [](Layout const& l) { return l.tokens_per_micro_batch; }}};

/// Features that some layouts have and others do not. If several name the same layouts, the most
/// general is kept.
std::vector<Group> telling_features(std::vector<LayoutOutcome> const& outcomes) {
    std::vector<Group> groups;
    for (auto const& feature : features()) add(groups, outcomes, feature.name, feature.holds);
    for (auto const& [axis, degree] : kDegrees) {
        std::set<std::int64_t> values;
        for (auto const& v : outcomes) values.insert(degree(v.layout));
        for (auto const value : values)
            add(groups, outcomes, fmt::format("{} {}", axis, value),
                [&](auto const& l) { return degree(l) == value; });
    }
    add(groups, outcomes, "schedule 1f1b over stages", [](auto const& l) {
        return l.parallel.pipeline > 1 &&
               l.parallel.schedule == parallel::ScheduleKind::one_f_one_b;
    });
    add(groups, outcomes, "recompute none",
        [](auto const& l) { return l.parallel.recompute == parallelize::Recompute::none; });
    return groups;
}

/// Features, and then two of them together, that all failing layouts share.
std::vector<Group> shared_features(std::vector<LayoutOutcome> const& outcomes,
                                   std::vector<Group> const& telling, std::size_t failing) {
    std::vector<Group> shared;
    for (auto const& one : telling)
        if (one.failing == failing) shared.push_back(one);
    auto const singles = shared.size();
    for (std::size_t i = 0; i < singles; ++i)
        for (std::size_t j = i + 1; j < singles; ++j) {
            Group two{fmt::format("{} and {}", shared[i].name, shared[j].name), {}, failing};
            for (std::size_t v = 0; v < outcomes.size(); ++v)
                two.passing += outcomes[v].passed && shared[i].holds[v] && shared[j].holds[v];
            shared.push_back(std::move(two));
        }
    return shared;
}

/// "; 12 of the 20 that pass have recompute none, which none that fails has"
std::string passing_only(std::vector<Group> const& telling, std::size_t passing) {
    std::vector<Group> apart;
    for (auto const& g : telling)
        if (g.failing == 0) apart.push_back(g);
    if (apart.empty()) return "";
    auto const& best = *std::ranges::max_element(apart, {}, &Group::passing);
    return fmt::format("; {} of the {} that pass have {}, which none that fails has", best.passing,
                       passing, best.name);
}

std::vector<LayoutOutcome> simplest_first(std::vector<LayoutOutcome> const& outcomes) {
    std::vector<LayoutOutcome> failing;
    for (auto const& v : outcomes)
        if (!v.passed) failing.push_back(v);
    auto const rank = [](LayoutOutcome const& v) {
        auto const& p = v.layout.parallel;
        int const extras = (p.recompute != parallelize::Recompute::none) + (p.zero > 0) +
                           (p.schedule != parallel::ScheduleKind::one_f_one_b) + (p.pipeline > 1) +
                           (p.tensor > 1) + (v.layout.data() > 1);
        return std::tuple(v.layout.ranks(), extras, -v.layout.tokens_per_micro_batch);
    };
    std::ranges::stable_sort(failing, {}, rank);
    return failing;
}

/// The worst of the figures that are computed first, of those that are wrong: the others follow
/// from it.
Figure const& first_wrong(Specimen const& s) {
    for (char const* what :
         {"loss of step 1", "gradient", "norm of step 1", "first moment", "weights after step 1"})
        for (auto const& f : s.figures)
            if (f.what == what && !f.holds()) return f;
    return s.figures.front();
}

/// The tensor that a figure is of, in a trace; none for losses and norms.
at::Tensor tensor_of(Trace const& trace, Figure const& f) {
    if (f.what == "gradient") return trace.gradient.at(f.parameter);
    if (f.what == "first moment") return trace.first_moments.at(f.parameter);
    if (f.what == "weights after step 1") return trace.first.at(f.parameter);
    return f.what == "weights" ? trace.weights.at(f.parameter) : at::Tensor();
}

Cause unknown(Specimen const& s, Laboratory const& lab) {
    Figure const& f = first_wrong(s);
    std::string where;
    if (at::Tensor const found = tensor_of(s.trace, f); found.defined())
        where = where_wrong(lab.spec(f.parameter), s.layout, found, tensor_of(lab.exact(), f));
    return {"unknown", "no hypothesis explains the numbers",
            fmt::format("the first that is wrong is the {}{}: {:.2g}, bound {:.2g}{}{}", f.what,
                        f.parameter.empty() ? "" : " of " + f.parameter, f.error, f.bound,
                        where.empty() ? "" : "; it is", where),
            s.parameters("gradient"), 0.1};
}

std::vector<Cause> causes_of(LayoutOutcome const& outcome, Laboratory& lab) {
    if (!outcome.error.empty())
        return {{"error", "the layout does not run", outcome.error, {}, 0.99}};
    Specimen specimen = lab.examine(outcome.layout);
    specimen.hash_differs = outcome.hash_differs;
    Case const facts{lab, specimen, specimen.parameters("gradient")};
    std::vector<Cause> causes;
    for (auto const& hypothesis : hypotheses())
        if (auto cause = hypothesis(facts)) causes.push_back(std::move(*cause));
    if (specimen.first_step_right() && !specimen.figures.front().holds())
        for (auto& cause : later_causes(outcome.layout, lab)) causes.push_back(std::move(cause));
    std::ranges::stable_sort(causes, std::ranges::greater{}, &Cause::confidence);
    if (causes.empty()) causes.push_back(unknown(specimen, lab));
    return causes;
}

std::string list_of(std::vector<std::string> const& names) {
    if (names.empty()) return "no single one";
    if (names.size() == 1) return names[0];
    return fmt::format("{} and {} more", names[0], names.size() - 1);
}

} // namespace

std::string pattern_of(std::vector<LayoutOutcome> const& outcomes) {
    auto const failing =
        static_cast<std::size_t>(std::ranges::count(outcomes, false, &LayoutOutcome::passed));
    std::size_t const passing = outcomes.size() - failing;
    if (passing == 0) return fmt::format("all {} layouts", failing);
    auto const telling = telling_features(outcomes);
    auto const shared = shared_features(outcomes, telling, failing);
    std::string const without = passing_only(telling, passing);
    if (shared.empty())
        return fmt::format("{} of {} layouts, which share no one feature{}", failing,
                           outcomes.size(), without);
    auto const best = *std::ranges::min_element(shared, {}, &Group::passing);
    if (best.passing == 0)
        return fmt::format("every one of the {} layouts with {}, none of the {} others", failing,
                           best.name, passing);
    return fmt::format("{} of the {} layouts with {}, none of the {} others{}", failing,
                       failing + best.passing, best.name, passing - best.passing, without);
}

Diagnosis diagnose(std::vector<LayoutOutcome> const& outcomes, Laboratory& lab) {
    Diagnosis diagnosis;
    diagnosis.pattern = pattern_of(outcomes);
    int examined = 0;
    for (auto const& outcome : simplest_first(outcomes)) {
        auto causes = causes_of(outcome, lab);
        bool const better =
            diagnosis.causes.empty() || causes[0].confidence > diagnosis.causes[0].confidence;
        if (better) {
            diagnosis.causes = std::move(causes);
            diagnosis.specimen = name_of(outcome.layout);
        }
        if (++examined == kSpecimens || diagnosis.causes[0].id != "unknown") break;
    }
    return diagnosis;
}

std::string Diagnosis::message() const {
    auto const& best = causes.at(0);
    std::string text =
        fmt::format("fails in {}\n  parameter     {}\n  likely cause  {}\n  evidence      {}\n  "
                    "seen in       {}\n",
                    pattern, list_of(best.parameters), best.text, best.evidence, specimen);
    for (std::size_t i = 1; i < causes.size(); ++i)
        text += fmt::format("  or            {}\n", causes[i].text);
    return text;
}

} // namespace trireme::framework::parity
