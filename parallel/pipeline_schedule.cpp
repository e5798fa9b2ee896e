#include "parallel/pipeline_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "cluster/error.hpp"

namespace trireme::parallel {

namespace {

void require(bool legal, char const* field, std::int64_t value, std::string_view range) {
    if (!legal) throw cluster::InputError(fmt::format("{}: {}: legal: {}", field, value, range));
}

void check(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps) {
    require(stages >= 1, "parallel.pipeline", stages, "1 or more");
    require(micro_steps >= 1, "micro-steps", micro_steps, "1 or more");
    bool const interleaved = kind == ScheduleKind::interleaved;
    require(interleaved ? chunks >= 2 : chunks == 1, "parallel.virtual_stages", chunks,
            fmt::format("{} with schedule {}", interleaved ? "2 or more" : "1", name_of(kind)));
}

/// Appends the actions of one stage in the order of [Note: one loop for all schedules].
class ListBuilder {
  public:
    ListBuilder(int stages, int chunks, std::int64_t micro_steps)
        : stages_(stages), chunks_(chunks), micro_steps_(micro_steps),
          places_((micro_steps + stages - 1) / stages * stages * chunks) {}

    std::int64_t places() const { return places_; }
    void forward(std::int64_t place) { append(Action::Kind::forward, place, false); }
    /// A backward pass of any kind: chunks of a group in descending order.
    void backward(Action::Kind kind, std::int64_t place) { append(kind, place, true); }
    StageActions take() { return std::move(list_); }

  private:
    void append(Action::Kind kind, std::int64_t place, bool descending) {
        std::int64_t const group = place / (stages_ * chunks_),
                           in_group = place % (stages_ * chunks_);
        std::int64_t const micro_step = group * stages_ + in_group % stages_;
        if (place < 0 || place >= places_ || micro_step >= micro_steps_) return;
        int const chunk = static_cast<int>(in_group / stages_);
        list_.push_back(
            {kind, micro_step, descending ? static_cast<int>(chunks_) - 1 - chunk : chunk});
    }

    std::int64_t stages_, chunks_, micro_steps_, places_;
    StageActions list_;
};

/// Forward passes that a stage runs ahead of its backward passes: the most activations it ever
/// holds.
std::int64_t run_ahead(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps,
                       int stage) {
    int const after = stages - stage - 1;
    switch (kind) {
    case ScheduleKind::gpipe: return micro_steps;
    case ScheduleKind::one_f_one_b:
    case ScheduleKind::zero_bubble: return after + 1;
    case ScheduleKind::interleaved: break;
    }
    return 2 * after + std::int64_t{chunks - 1} * stages + 1;
}

} // namespace

// [Note: one loop for all schedules]
// Micro-steps go in groups of `stages`: a group passes through chunk 0, then chunk 1, and so on. So
// `place` k names a micro-step and a chunk, for forward and backward passes alike, and with one
// chunk place k is micro-step k. A stage runs the forward pass of place k, then the backward pass
// of place k - ahead + 1. Schedules differ in `ahead` alone, and zero-bubble in weight gradients
// that follow `stage` places later: a stage that starts later has as much more time to fill at the
// end.
//
// A last group that is not full is laid out as if it were, and the places without a micro-step are
// left out. Taking actions out of lists that do not deadlock leaves lists that do not, that hold no
// more and that take no longer.
StageActions stage_actions(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps,
                           int stage) {
    check(kind, stages, chunks, micro_steps);
    if (stage < 0 || stage >= stages)
        throw std::out_of_range(fmt::format("stage {} of {}", stage, stages));
    std::int64_t const ahead = run_ahead(kind, stages, chunks, micro_steps, stage);
    bool const apart = kind == ScheduleKind::zero_bubble;
    ListBuilder list(stages, chunks, micro_steps);
    for (std::int64_t place = 0; place < list.places() + ahead + stage; ++place) {
        std::int64_t const behind = place - ahead + 1;
        list.forward(place);
        list.backward(apart ? Action::Kind::input_gradient : Action::Kind::backward, behind);
        if (apart) list.backward(Action::Kind::weight_gradient, behind - stage);
    }
    return list.take();
}

StageActions forward_actions(int chunks, std::int64_t micro_steps) {
    StageActions actions;
    for (std::int64_t m = 0; m < micro_steps; ++m)
        for (int chunk = 0; chunk < chunks; ++chunk)
            actions.push_back({Action::Kind::forward, m, chunk});
    return actions;
}

namespace {

/// Runs the lists of all stages as far as what their actions need of each other allows.
class Progress {
  public:
    Progress(std::vector<StageActions> const& lists, int chunks)
        : lists_(lists), stages_(static_cast<int>(lists.size())), parts_(stages_ * chunks),
          at_(lists.size()), next_(static_cast<std::size_t>(2 * parts_)) {}

    /// Runs all that can be without action `limit` of `stage`, nor those after it.
    void run_without(int stage, std::size_t limit) {
        for (bool moved = true; moved;) {
            moved = false;
            for (int s = 0; s < stages_; ++s) {
                auto const& list = lists_[static_cast<std::size_t>(s)];
                auto& at = at_[static_cast<std::size_t>(s)];
                std::size_t const end = s == stage ? limit : list.size();
                for (; at < end && is_sent(s, list[at]); ++at, moved = true) count(s, list[at]);
            }
        }
    }
    bool receives(int stage, Action const& action) const {
        if (action.kind == Action::Kind::weight_gradient) return false;
        int const part = action.chunk * stages_ + stage;
        return is_back(action) ? part + 1 < parts_ : part > 0;
    }
    /// Tells whether what the action begins with has been made.
    bool is_sent(int stage, Action const& action) const {
        if (!receives(stage, action)) return true;
        int const part = action.chunk * stages_ + stage;
        return next(is_back(action) ? part + 1 : part - 1, is_back(action)) > action.micro_step;
    }

  private:
    static bool is_back(Action const& action) { return action.kind != Action::Kind::forward; }
    /// Micro-steps that a part has run, forward or back: each kind runs in their order.
    std::int64_t next(int part, bool back) const {
        return next_[static_cast<std::size_t>(2 * part + back)];
    }
    void count(int stage, Action const& action) {
        if (action.kind == Action::Kind::weight_gradient) return;
        int const part = action.chunk * stages_ + stage;
        auto& next = next_[static_cast<std::size_t>(2 * part + is_back(action))];
        next = std::max(next, action.micro_step + 1);
    }

    std::vector<StageActions> const& lists_;
    int stages_, parts_;
    std::vector<std::size_t> at_;
    std::vector<std::int64_t> next_;
};

} // namespace

std::vector<Turn> turns_of(std::vector<StageActions> const& lists, int chunks, int stage) {
    auto const& list = lists[static_cast<std::size_t>(stage)];
    Progress progress(lists, chunks);
    std::vector<Turn> turns;
    for (std::size_t i = 0, started = 0; i < list.size(); ++i) {
        progress.run_without(stage, i);
        for (; started < list.size() && started <= i + 1; ++started) {
            if (started > i && !progress.is_sent(stage, list[started])) break;
            if (progress.receives(stage, list[started])) turns.push_back({true, started});
        }
        turns.push_back({false, i});
    }
    return turns;
}

std::vector<StageActions> make_schedule(ScheduleKind kind, int stages, int chunks,
                                        std::int64_t micro_steps) {
    check(kind, stages, chunks, micro_steps);
    std::vector<StageActions> schedule;
    for (int stage = 0; stage < stages; ++stage)
        schedule.push_back(stage_actions(kind, stages, chunks, micro_steps, stage));
    return schedule;
}

} // namespace trireme::parallel
