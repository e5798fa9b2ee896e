#include "parallel/pipeline_simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace trireme::parallel {

namespace {

using Kind = Action::Kind;

char const* name_of(Kind kind) {
    switch (kind) {
    case Kind::forward: return "forward";
    case Kind::backward: return "backward";
    case Kind::input_gradient: return "input gradient";
    case Kind::weight_gradient: break;
    }
    return "weight gradient";
}

/// When the result of each (micro-step, part) is there.
class Results {
  public:
    explicit Results(std::size_t parts) : parts_(parts) {}

    void set(std::int64_t micro_step, std::size_t part, double time) {
        slot(micro_step, part) = time;
    }
    std::optional<double> get(std::int64_t micro_step, std::size_t part) {
        return slot(micro_step, part);
    }

  private:
    std::optional<double>& slot(std::int64_t micro_step, std::size_t part) {
        std::size_t const index = static_cast<std::size_t>(micro_step) * parts_ + part;
        if (index >= times_.size()) times_.resize(2 * index + 1);
        return times_[index];
    }

    std::size_t parts_;
    std::vector<std::optional<double>> times_;
};

class Clock {
  public:
    Clock(std::vector<StageActions> const& schedule, std::vector<PartTimes> const& parts,
          double transfer)
        : schedule_(schedule), parts_(parts), transfer_(transfer), forward_(parts.size()),
          backward_(parts.size()) {
        result_.spans.resize(schedule.size());
    }

    /// Start times follow from dependencies alone, so the order in which stages are visited here
    /// does not matter.
    Simulation run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (std::size_t stage = 0; stage < schedule_.size(); ++stage)
                while (step(stage)) moved = true;
        }
        for (std::size_t stage = 0; stage < schedule_.size(); ++stage) {
            std::size_t const ran = result_.spans[stage].size();
            if (ran < schedule_[stage].size())
                result_.stuck.push_back({static_cast<int>(stage), schedule_[stage][ran]});
        }
        return std::move(result_);
    }

  private:
    std::size_t part_of(std::size_t stage, Action const& action) const {
        return static_cast<std::size_t>(action.chunk) * schedule_.size() + stage;
    }
    double hop() const { return schedule_.size() == 1 ? 0 : transfer_; }

    /// Runs the next action of `stage` if what it needs exists.
    bool step(std::size_t stage) {
        auto& spans = result_.spans[stage];
        if (spans.size() == schedule_[stage].size()) return false;
        Action const& action = schedule_[stage][spans.size()];
        std::size_t const part = part_of(stage, action);
        PartTimes const& times = parts_.at(part);
        auto const ready = ready_at(action, part);
        if (!ready) return false;
        double const begin = std::max(*ready, spans.empty() ? 0 : spans.back().end);
        double const end = begin + duration(action.kind, times);
        spans.push_back({begin, end});
        result_.makespan = std::max(result_.makespan, end);
        if (action.kind == Kind::forward) forward_.set(action.micro_step, part, end);
        if (action.kind == Kind::backward || action.kind == Kind::input_gradient)
            backward_.set(action.micro_step, part, end);
        return true;
    }

    std::optional<double> ready_at(Action const& action, std::size_t part) {
        std::int64_t const m = action.micro_step;
        switch (action.kind) {
        case Kind::forward: return part == 0 ? 0.0 : arrival(forward_.get(m, part - 1));
        case Kind::weight_gradient: return backward_.get(m, part);
        case Kind::backward:
        case Kind::input_gradient: break;
        }
        auto const own = forward_.get(m, part);
        auto const after = part + 1 == parts_.size() ? 0.0 : arrival(backward_.get(m, part + 1));
        return own && after ? std::optional(std::max(*own, *after)) : std::nullopt;
    }

    std::optional<double> arrival(std::optional<double> sent) const {
        return sent ? std::optional(*sent + hop()) : std::nullopt;
    }

    static double duration(Kind kind, PartTimes const& times) {
        switch (kind) {
        case Kind::forward: return times.forward;
        case Kind::input_gradient: return times.input_gradient;
        case Kind::weight_gradient: return times.weight_gradient;
        case Kind::backward: break;
        }
        return times.input_gradient + times.weight_gradient;
    }

    std::vector<StageActions> const& schedule_;
    std::vector<PartTimes> const& parts_;
    double transfer_;
    Results forward_, backward_;
    Simulation result_;
};

/// A stage frees an activation in the order of its own list, whatever the clock says.
std::int64_t peak_in_flight(StageActions const& actions, std::size_t ran) {
    std::int64_t held = 0, peak = 0;
    for (std::size_t i = 0; i < ran; ++i) {
        if (actions[i].kind == Kind::forward) peak = std::max(peak, ++held);
        if (actions[i].kind == Kind::backward || actions[i].kind == Kind::weight_gradient) --held;
    }
    return peak;
}

double busy_time(std::vector<Simulation::Span> const& spans) {
    double busy = 0;
    for (auto const& span : spans) busy += span.end - span.begin;
    return busy;
}

} // namespace

std::string Simulation::deadlock() const {
    std::string text;
    for (auto const& [stage, action] : stuck)
        text += fmt::format("{}stage {} waits to run the {} of micro-step {}, chunk {}",
                            text.empty() ? "" : "; ", stage, name_of(action.kind),
                            action.micro_step, action.chunk);
    return text;
}

Simulation simulate(std::vector<StageActions> const& schedule, std::vector<PartTimes> const& parts,
                    double transfer) {
    Simulation result = Clock(schedule, parts, transfer).run();
    for (std::size_t stage = 0; stage < schedule.size(); ++stage) {
        double const busy = busy_time(result.spans[stage]);
        result.bubble.push_back(busy > 0 ? (result.makespan - busy) / busy : 0);
        result.peak_in_flight.push_back(
            peak_in_flight(schedule[stage], result.spans[stage].size()));
    }
    return result;
}

} // namespace trireme::parallel
