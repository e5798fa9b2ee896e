#include "tests/device/link_simulation.hpp"

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
/// receive holds up its stage, a send only what is behind it in its group.
class Simulation {
  public:
    Simulation(std::vector<parallel::StageActions> const& lists, int chunks)
        : lists_(lists), chunks_(chunks), stages_(static_cast<int>(lists.size())),
          at_(lists.size()), waits_(lists.size()), queues_(lists.size()) {}

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
        int group = 0;
        if (chunks_ > 1) group = stages_ % 2 && stage == stages_ - 1 ? 2 : stage % 2;
        return group + 10 * gradients;
    }

    /// The next action of a stage, as far as it comes.
    bool compute(int s) {
        auto& at = at_[index(s)];
        if (waits_[index(s)] || at == lists_[index(s)].size()) return false;
        auto const& action = lists_[index(s)][at];
        if (action.kind == Kind::weight_gradient) return ++at, true;
        bool const back = action.kind != Kind::forward;
        int const part = action.chunk * stages_ + s, before = (s + stages_ - 1) % stages_,
                  after = (s + 1) % stages_;
        if (back && !done_[index(s)].contains({action.chunk, action.micro_step}))
            unprepared_ = true;
        bool const takes = back ? part + 1 < parts() : part > 0;
        if (takes && !received_[index(s)]) {
            int const peer = back ? after : before;
            queues_[index(s)][group_after(back ? s : before, back)].push_back(
                {false, peer, action.micro_step, back ? part + 1 : part - 1});
            waits_[index(s)] = true;
            return true;
        }
        received_[index(s)] = false;
        if (!back) done_[index(s)].insert({action.chunk, action.micro_step});
        bool const gives = back ? part > 0 : part + 1 < parts();
        if (gives)
            queues_[index(s)][group_after(back ? before : s, back)].push_back(
                {true, back ? before : after, action.micro_step, part});
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
        waits_[index(sent.peer)] = false;
        received_[index(sent.peer)] = true;
        return true;
    }

    std::vector<parallel::StageActions> const& lists_;
    int chunks_, stages_;
    std::vector<std::size_t> at_;
    std::vector<bool> waits_, received_ = std::vector<bool>(lists_.size());
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
