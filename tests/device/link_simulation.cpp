#include "tests/device/link_simulation.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <utility>

namespace trireme::test {

namespace {

using Kind = parallel::Action::Kind;

/// One end of a message: it leaves part `from` for the part next to it.
struct End {
    bool is_send;
    int peer; ///< stage
    std::int64_t micro_step;
    int from;
};

/// Each stage computes in order; what it sends and receives in one group happens in order too. A
/// receive is started one action early and holds up its stage, a send only what is behind it in its
/// group.
class Simulation {
  public:
    Simulation(std::vector<parallel::StageActions> const& lists, int chunks)
        : lists_(lists), chunks_(chunks), stages_(static_cast<int>(lists.size())),
          at_(lists.size()), expected_(lists.size()), arrived_(lists.size()),
          queues_(lists.size()) {}

    LinkFate run() {
        for (bool moved = true; moved;) {
            moved = false;
            for (int s = 0; s < stages_; ++s) moved |= compute(s);
            for (int s = 0; s < stages_; ++s)
                for (auto& [group, queue] : queues_[index(s)]) moved |= deliver(s, group);
            if (unprepared_) return LinkFate::unprepared;
            if (exchanged_) return LinkFate::exchanged;
        }
        for (int s = 0; s < stages_; ++s) {
            if (at_[index(s)] < lists_[index(s)].size()) return LinkFate::stuck;
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
    void expect(int s, parallel::Action const& action) {
        if (!takes(s, action)) return;
        bool const back = is_back(action);
        queues_[index(s)][group_after(back ? s : before(s), back)].push_back(
            {false, back ? after(s) : before(s), action.micro_step,
             part(s, action) + (back ? 1 : -1)});
    }

    /// The next action of a stage, if what it begins with is there.
    bool compute(int s) {
        auto const& list = lists_[index(s)];
        auto& at = at_[index(s)];
        if (at == list.size()) return false;
        auto& expected = expected_[index(s)];
        for (; expected < std::min(at + 2, list.size()); ++expected) expect(s, list[expected]);
        auto const& action = list[at];
        if (action.kind == Kind::weight_gradient) return ++at, true;
        bool const back = is_back(action);
        if (back && !done_[index(s)].contains({action.chunk, action.micro_step}))
            unprepared_ = true;
        if (takes(s, action)) {
            if (arrived_[index(s)][back] == 0) return false;
            --arrived_[index(s)][back];
        }
        if (!back) done_[index(s)].insert({action.chunk, action.micro_step});
        bool const gives = back ? part(s, action) > 0 : part(s, action) + 1 < parts();
        if (gives)
            queues_[index(s)][group_after(back ? before(s) : s, back)].push_back(
                {true, back ? before(s) : after(s), action.micro_step, part(s, action)});
        return ++at, true;
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
    std::vector<std::size_t> at_, expected_;             ///< actions that ran, that are expected
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

LinkFate fate_of(std::vector<parallel::StageActions> const& lists, int chunks) {
    return Simulation(lists, chunks).run();
}

} // namespace trireme::test
