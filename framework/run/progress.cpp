#include "framework/run/progress.hpp"

#include <algorithm>

#include "data/json.hpp"

namespace trireme::framework::run {

using nlohmann::json;

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
              {"recent_losses", recent_losses}};
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
    for (auto const& loss : data::list(j, "recent_losses")) {
        if (!data::JsonKind<double>::holds(loss))
            throw cluster::InputError("recent_losses: " + data::shown(loss) + ": legal: a number");
        p.recent_losses.push_back(loss);
    }
    if (j.contains("source_samples")) {
        p.source_samples = data::member<std::vector<std::int64_t>>(j, "source_samples");
        p.source_tokens = data::member<std::vector<std::int64_t>>(j, "source_tokens");
    }
    return p;
} catch (cluster::InputError const& error) {
    throw cluster::InputError(std::string("progress.") + error.what());
}

} // namespace trireme::framework::run
