#include "framework/run_progress.hpp"

#include <algorithm>

namespace trireme::framework {

using nlohmann::json;

std::int64_t RunProgress::updates() const {
    return step - std::ranges::count_if(left_out, [this](std::int64_t at) { return at < cursor; });
}

bool RunProgress::leaves_out(std::int64_t cursor_of_step) const {
    return std::ranges::find(left_out, cursor_of_step) != left_out.end();
}

json RunProgress::to_json() const {
    return {{"step", step},
            {"cursor", cursor},
            {"best", best},
            {"best_step", best_step},
            {"evaluated_step", evaluated_step},
            {"evaluations_without_improvement", evaluations_without_improvement},
            {"finished", finished},
            {"left_out", left_out},
            {"recent_losses", recent_losses}};
}

RunProgress RunProgress::from_json(json const& j) {
    RunProgress p;
    p.step = j.at("step");
    p.cursor = j.at("cursor");
    p.best = j.at("best");
    p.best_step = j.at("best_step");
    p.evaluated_step = j.at("evaluated_step");
    p.evaluations_without_improvement = j.at("evaluations_without_improvement");
    p.finished = j.at("finished");
    p.left_out = j.at("left_out").get<std::vector<std::int64_t>>();
    p.recent_losses = j.at("recent_losses").get<std::vector<double>>();
    return p;
}

} // namespace trireme::framework
