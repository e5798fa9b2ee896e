#include "framework/run/progress.hpp"

#include <algorithm>

#include "data/json.hpp"

namespace trireme::framework::run {

using nlohmann::json;

namespace {

json to_json(LossSums const& sums) {
    return {{"count", sums.count}, {"sum", sums.sum}, {"squares", sums.squares}};
}

LossSums sums_from_json(json const& j) {
    return {data::count(j, "count"), data::member<double>(j, "sum"),
            data::member<double>(j, "squares")};
}

json to_json(Gap const& gap) {
    return {{"lowest_step", gap.lowest_step},
            {"lowest", gap.lowest},
            {"last", gap.last},
            {"rises", gap.rises},
            {"losses", gap.losses},
            {"until", to_json(gap.until)},
            {"since", to_json(gap.since)},
            {"overfits", gap.overfits}};
}

json to_json(General const& general) {
    return {{"data", general.data}, {"before", general.before}, {"last", general.last}};
}

std::vector<double> numbers(json const& j, std::string const& name) {
    std::vector<double> values;
    for (auto const& value : data::list(j, name)) {
        if (!data::JsonKind<double>::holds(value))
            throw cluster::InputError(name + ": " + data::shown(value) + ": legal: a number");
        values.push_back(value);
    }
    return values;
}

/// Reads what checkpoints of an earlier version have not.
Gap gap_from_json(json const& progress) {
    if (!progress.contains("gap")) return {};
    json const& j = progress.at("gap");
    return {.lowest_step = data::count(j, "lowest_step", -1),
            .lowest = data::member<double>(j, "lowest"),
            .last = data::member<double>(j, "last"),
            .rises = static_cast<int>(data::count(j, "rises")),
            .losses = numbers(j, "losses"),
            .until = sums_from_json(j.value("until", json{})),
            .since = sums_from_json(j.value("since", json{})),
            .overfits = data::member<bool>(j, "overfits")};
}

General general_from_json(json const& progress) {
    if (!progress.contains("general")) return {};
    json const& j = progress.at("general");
    return {data::member<std::string>(j, "data"), data::member<double>(j, "before"),
            data::member<double>(j, "last")};
}

} // namespace

void LossSums::add(double loss) {
    count += 1;
    sum += loss;
    squares += loss * loss;
}

std::int64_t Progress::updates() const {
    return step - std::ranges::count_if(left_out, [this](std::int64_t at) { return at < cursor; });
}

bool Progress::leaves_out(std::int64_t cursor_of_step) const {
    return std::ranges::find(left_out, cursor_of_step) != left_out.end();
}

json Progress::to_json() const {
    json j = {{"step", step},
              {"cursor", cursor},
              {"best", best},
              {"best_step", best_step},
              {"evaluated_step", evaluated_step},
              {"evaluations_without_improvement", evaluations_without_improvement},
              {"finished", finished},
              {"left_out", left_out},
              {"recent_losses", recent_losses},
              {"gap", run::to_json(gap)},
              {"general", run::to_json(general)}};
    if (!base.empty()) j["base"] = base;
    if (!source_samples.empty()) {
        j["source_samples"] = source_samples;
        j["source_tokens"] = source_tokens;
    }
    return j;
}

Progress Progress::from_json(json const& j) try {
    Progress p;
    p.step = data::count(j, "step");
    p.cursor = data::count(j, "cursor");
    p.best = data::member<double>(j, "best");
    p.best_step = data::count(j, "best_step", -1);
    p.evaluated_step = data::count(j, "evaluated_step", -1);
    p.evaluations_without_improvement =
        static_cast<int>(data::count(j, "evaluations_without_improvement"));
    p.finished = data::member<bool>(j, "finished");
    p.left_out = data::member<std::vector<std::int64_t>>(j, "left_out");
    p.recent_losses = numbers(j, "recent_losses");
    if (j.contains("source_samples")) {
        p.source_samples = data::member<std::vector<std::int64_t>>(j, "source_samples");
        p.source_tokens = data::member<std::vector<std::int64_t>>(j, "source_tokens");
    }
    if (j.contains("base")) p.base = data::member<std::string>(j, "base");
    p.gap = gap_from_json(j);
    p.general = general_from_json(j);
    return p;
} catch (cluster::InputError const& error) {
    throw cluster::InputError(std::string("progress.") + error.what());
}

} // namespace trireme::framework::run
