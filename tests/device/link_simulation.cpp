#include "tests/device/link_simulation.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace trireme::test {

namespace {

using Kind = parallel::Action::Kind;

/// One end of a message: it leaves part `from` for the part next to it.
struct End {
    bool is_send, is_back; ///< back: a gradient
    int peer;              ///< stage
    std::int64_t micro_step;
    int from;
};

/// One thing that the host of a stage does: it posts a message, or takes one and computes.
struct Doing {
    std::optional<End> posts;
    parallel::Action action{};
};

/// Each stage takes its turns in order; what it sends and receives in one group happens in order
/// too. A receive is posted when parallel::turns_of says so, and holds up its
/// stage when it is taken; a send holds up only what is behind it in its group.
class Simulation {
  public:
    Simulation(std::vector<parallel::StageActions> const& lists, int chunks, int loader)
        : lists_(lists), chunks_(chunks), stages_(static_cast<int>(lists.size())), loader_(loader),
          turns_(lists.size()), at_(lists.size()), arrived_(lists.size()), queues_(lists.size()) {
        for (int s = 0; s < stages_; ++s) list_turns(s);
    }

    LinkFate run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (int s = 0; s < stages_; ++s) moved |= take_turn(s);
            for (int s = 0; s < stages_; ++s)
                for (auto& [group, queue] : queues_[index(s)]) moved |= deliver(s, group);
            if (unprepared_) return LinkFate::unprepared;
            if (exchanged_) return LinkFate::exchanged;
        }
        for (int s = 0; s < stages_; ++s) {
            if (at_[index(s)] < turns_[index(s)].size()) return LinkFate::stuck;
            for (auto const& [group, queue] : queues_[index(s)])
                if (!queue.empty()) return LinkFate::stuck;
        }
        return LinkFate::right;
    }

  private:
    static std::size_t index(int stage) { return static_cast<std::size_t>(stage); }
    int parts() const { return stages_ * chunks_; }
    /// Groups of activations are numbered from 0, those of gradients from 10.
    int group_after(int stage, bool gradients) const {
        bool const ends_odd_ring = chunks_ > 1 && stages_ % 2 && stage == stages_ - 1;
        return (ends_odd_ring ? 2 : stage % 2) + 10 * gradients;
    }

    int part(int s, parallel::Action const& action) const { return action.chunk * stages_ + s; }
    static bool is_back(parallel::Action const& action) { return action.kind != Kind::forward; }
    int before(int s) const { return (s + stages_ - 1) % stages_; }
    int after(int s) const { return (s + 1) % stages_; }

    bool takes(int s, parallel::Action const& action) const {
        if (action.kind == Kind::weight_gradient) return false;
        return is_back(action) ? part(s, action) + 1 < parts() : part(s, action) > 0;
    }
    int group_of(int s, End const& end) const {
        bool const back = end.is_back;
        return group_after(end.is_send != back ? s : before(s), back);
    }

    void list_turns(int s) {
        auto const& list = lists_[index(s)];
        auto& turns = turns_[index(s)];
        for (auto const& turn : parallel::turns_of(lists_, chunks_, s)) {
            auto const& action = list[turn.index];
            bool const back = is_back(action);
            if (turn.starts_receive) {
                turns.push_back({End{false, back, back ? after(s) : before(s), action.micro_step,
                                     part(s, action) + (back ? 1 : -1)}});
                continue;
            }
            turns.push_back({std::nullopt, action});
            bool const gives = action.kind != Kind::weight_gradient &&
                               (back ? part(s, action) > 0 : part(s, action) + 1 < parts());
            if (gives)
                turns.push_back({End{true, back, back ? before(s) : after(s), action.micro_step,
                                     part(s, action)}});
        }
    }

    bool take_turn(int s) {
        auto& at = at_[index(s)];
        if (at == turns_[index(s)].size()) return false;
        Doing const& turn = turns_[index(s)][at];
        if (turn.posts)
            queues_[index(s)][group_of(s, *turn.posts)].push_back(*turn.posts);
        else if (!compute(s, turn.action))
            return false;
        return ++at, true;
    }

    bool receives_under_way(int s) const {
        return std::ranges::any_of(queues_[index(s)], [](auto const& of_group) {
            return std::ranges::any_of(of_group.second,
                                       [](End const& end) { return !end.is_send; });
        });
    }

    /// Tells whether what the action begins with was there.
    bool compute(int s, parallel::Action const& action) {
        if (s == loader_ && receives_under_way(s)) return false;
        if (action.kind == Kind::weight_gradient) return true;
        bool const back = is_back(action);
        if (back && !done_[index(s)].contains({action.chunk, action.micro_step}))
            unprepared_ = true;
        if (takes(s, action)) {
            if (arrived_[index(s)][back] == 0) return false;
            --arrived_[index(s)][back];
        }
        if (!back) done_[index(s)].insert({action.chunk, action.micro_step});
        return true;
    }

    /// A send at the head of its group here that its receiver's head waits for.
    bool deliver(int s, int group) {
        auto& from = queues_[index(s)][group];
        if (from.empty() || !from.front().is_send) return false;
        End const sent = from.front();
        auto& to = queues_[index(sent.peer)][group];
        if (to.empty() || to.front().is_send || to.front().peer != s) return false;
        exchanged_ |= to.front().micro_step != sent.micro_step || to.front().from != sent.from;
        from.pop_front();
        to.pop_front();
        ++arrived_[index(sent.peer)][group >= 10];
        return true;
    }

    std::vector<parallel::StageActions> const& lists_;
    int chunks_, stages_;
    int loader_;
    std::vector<std::vector<Doing>> turns_;
    std::vector<std::size_t> at_;                        ///< turns that were taken
    std::vector<std::array<int, 2>> arrived_;            ///< and not taken: activations, gradients
    std::vector<std::map<int, std::deque<End>>> queues_; ///< of each stage, by group
    std::vector<std::set<std::pair<int, std::int64_t>>> done_ =
        std::vector<std::set<std::pair<int, std::int64_t>>>(lists_.size());
    bool exchanged_ = false, unprepared_ = false;
};

} // namespace

char const* name_of(LinkFate fate) {
    switch (fate) {
    case LinkFate::right: return "right";
    case LinkFate::exchanged: return "exchanged";
    case LinkFate::stuck: return "stuck";
    case LinkFate::unprepared: return "unprepared";
    }
    return "";
}

LinkFate fate_of(std::vector<parallel::StageActions> const& lists, int chunks, int loader) {
    return Simulation(lists, chunks, loader).run();
}

} // namespace trireme::test
