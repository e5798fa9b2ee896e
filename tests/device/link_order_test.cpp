// The order of what stages send and receive: two actions that follow each other on one stage change
// places, over the real links on the stand-in. What becomes of it is computed beforehand by rules
// (link_simulation.hpp): where these say that all is as it should be, nothing else may be seen, and
// where they do not, something must be.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>

#include "cluster/process.hpp"
#include "parallel/mesh.hpp"
#include "parallel/stage_link.hpp"
#include "tests/cluster/nccl_on_standin.hpp"
#include "tests/device/link_simulation.hpp"
#include "tests/device/tensors_on_standin.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using Lists = std::vector<parallel::StageActions>;
using Kind = parallel::Action::Kind;

/// A stage that doubles what it is given. The first part is given the number of the micro-step,
/// from 1, and the last one's gradient is that number too, so that no message looks like another.
class Doubler {
  public:
    Doubler(cluster::Communicator& stages, int chunks)
        : link_(stages, chunks), stages_(stages.size()), stage_(stages.rank()),
          parts_(stages_ * chunks) {}

    void run(Lists const& lists, int chunks) {
        auto const& own = lists[static_cast<std::size_t>(stage_)];
        for (auto const& turn : parallel::turns_of(lists, chunks, stage_))
            turn.starts_receive ? expect(own[turn.index]) : run(own[turn.index]);
        link_.flush();
    }
    bool right() const { return right_; } ///< so far

  private:
    void expect(parallel::Action const& action) {
        if (action.kind == Kind::forward)
            link_.expect_activation({2, 3}, at::kDouble);
        else
            link_.expect_gradient({2, 3}, at::kDouble);
    }
    void run(parallel::Action const& action) {
        if (action.kind == Kind::weight_gradient) return;
        bool const back = action.kind != Kind::forward;
        int const part = action.chunk * stages_ + stage_;
        auto& is_prepared = done_[{action.chunk, action.micro_step}];
        right_ &= is_prepared || !back;
        bool const end = back ? part + 1 == parts_ : part == 0;
        auto const number = static_cast<double>(action.micro_step + 1);
        at::Tensor const in = end    ? at::full({2, 3}, number, at::kDouble)
                              : back ? link_.receive_gradient()
                                     : link_.receive_activation();
        double const wanted = number * std::exp2(back ? parts_ - 1 - part : part);
        right_ &= at::equal(in, at::full({2, 3}, wanted, at::kDouble));
        is_prepared |= !back;
        if (back && part > 0) link_.send_gradient(2 * in);
        if (!back && part + 1 < parts_) link_.send_activation(2 * in);
    }

    parallel::StageLink link_;
    int stages_, stage_, parts_;
    bool right_ = true;
    std::map<std::pair<int, std::int64_t>, bool> done_;
};

struct Pipeline {
    parallel::ScheduleKind schedule;
    int stages, chunks;
    std::int64_t micro_steps;
};

/// How many exchanges of two neighbours had which fate.
using Table = std::map<LinkFate, int>;

/// Whether every stage is given what it should be and comes to its end, in a process of its own:
/// what waits for ever ends a job.
bool runs_right(Lists const& lists, Pipeline const& p, LinkFate fate) {
    // Stages whose peers do not come say so after a moment; where all is right by the rules they
    // have all the time they need.
    bool const patient = fate == LinkFate::right;
    std::chrono::milliseconds const patience(patient ? 10'000 : 300),
        deadline(patient ? 60'000 : 2'000);
    std::fflush(stdout);
    pid_t const child = fork();
    if (child == 0) {
        static_cast<void>(std::freopen("/dev/null", "w", stdout));
        static_cast<void>(std::freopen("/dev/null", "w", stderr));
        std::atomic<bool> right = true;
        auto const body = [&](cluster::Communicator& world) {
            cluster::Stream const compute;
            TensorsOnStandin const tensors(compute.handle());
            Doubler stage(world, p.chunks);
            stage.run(lists, p.chunks);
            if (!stage.right()) right = false;
        };
        try {
            right =
                run_on_standin(p.stages, {.longest_pause = 0, .lazy = true, .patience = patience},
                               body, {.deadline = deadline})
                    .violations.empty() &&
                right;
        } catch (std::exception const&) {
            right = false;
        }
        _exit(right ? 0 : cluster::kFailed);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Table exchange_neighbours(Pipeline const& p) {
    ComposedPath const path;
    Lists const right = parallel::make_schedule(p.schedule, p.stages, p.chunks, p.micro_steps);
    std::string const name = fmt::format("{}, {} stages, {} chunks, {} micro-steps",
                                         name_of(p.schedule), p.stages, p.chunks, p.micro_steps);
    EXPECT_EQ(fate_of(right, p.chunks), LinkFate::right) << name;
    EXPECT_TRUE(runs_right(right, p, LinkFate::right)) << name;
    Table table;
    for (std::size_t s = 0; s < right.size(); ++s)
        for (std::size_t i = 0; i + 1 < right[s].size(); ++i) {
            Lists lists = right;
            std::swap(lists[s][i], lists[s][i + 1]);
            LinkFate const fate = fate_of(lists, p.chunks);
            ++table[fate];
            EXPECT_EQ(runs_right(lists, p, fate), fate == LinkFate::right)
                << name << ", stage " << s << ", actions " << i << " and " << i + 1
                << " exchanged: by the rules " << name_of(fate);
        }
    fmt::print("{}: ", name);
    for (auto const& [fate, count] : table) fmt::print("{} {}; ", name_of(fate), count);
    fmt::print("\n");
    return table;
}

TEST(LinkOrder, EachExchangeOfNeighboursIsSeenOrHarmlessByTheRules) {
    using enum parallel::ScheduleKind;
    Table all;
    for (auto const& pipeline : {Pipeline{one_f_one_b, 2, 1, 4}, Pipeline{zero_bubble, 2, 1, 3},
                                 Pipeline{interleaved, 2, 2, 3}, Pipeline{interleaved, 3, 2, 3}})
        for (auto const& [fate, count] : exchange_neighbours(pipeline)) all[fate] += count;
    for (auto const fate :
         {LinkFate::right, LinkFate::exchanged, LinkFate::stuck, LinkFate::unprepared})
        EXPECT_GT(all[fate], 0) << name_of(fate);
}

/// NCCL connects two ranks at their first message, for which their hosts wait for each other: no
/// receive that is started ahead may be the first of its pair before what its sender needs is sent.
TEST(LinkOrder, NoStageWaitsForAConnection) {
    using enum parallel::ScheduleKind;
    ComposedPath const path;
    auto const expect_right = [](Lists const& lists, Pipeline const& p, char const* what) {
        EXPECT_TRUE(runs_right(lists, p, LinkFate::right))
            << what << ", " << p.stages << " stages, " << p.micro_steps << " micro-steps";
    };
    for (int const stages : {2, 3, 4})
        for (std::int64_t const m : {1, 2, 5}) {
            for (auto const schedule : {gpipe, one_f_one_b, zero_bubble})
                expect_right(parallel::make_schedule(schedule, stages, 1, m),
                             {schedule, stages, 1, m}, name_of(schedule));
            expect_right(parallel::make_schedule(interleaved, stages, 2, m),
                         {interleaved, stages, 2, m}, "interleaved");
            for (int const chunks : {1, 2}) {
                Lists const forward(static_cast<std::size_t>(stages),
                                    parallel::forward_actions(chunks, m));
                expect_right(forward, {one_f_one_b, stages, chunks, m}, "forward alone");
            }
        }
}

/// No receive is under way that waits for what the action at hand makes: CUDA may wait for it
/// before kernels of that action run for the first time, here on one stage at a time.
TEST(LinkOrder, NoReceiveWaitsForTheActionThatItIsStartedBefore) {
    using enum parallel::ScheduleKind;
    auto const expect_right = [](Lists const& lists, int chunks, std::string const& what) {
        for (int stage = 0; stage < static_cast<int>(lists.size()); ++stage)
            EXPECT_STREQ(name_of(fate_of(lists, chunks, stage)), name_of(LinkFate::right))
                << what << ", " << lists.size() << " stages, " << chunks << " chunks, on stage "
                << stage;
    };
    for (int stages = 2; stages <= 8; ++stages)
        for (std::int64_t const m : {1, 2, 3, 4, 5, 8, 16})
            for (int const chunks : {1, 2, 3}) {
                auto const kinds = chunks == 1 ? std::vector{gpipe, one_f_one_b, zero_bubble}
                                               : std::vector{interleaved};
                for (auto const kind : kinds)
                    expect_right(parallel::make_schedule(kind, stages, chunks, m), chunks,
                                 fmt::format("{}, {} micro-steps", name_of(kind), m));
                expect_right(
                    Lists(static_cast<std::size_t>(stages), parallel::forward_actions(chunks, m)),
                    chunks, fmt::format("forward, {} micro-steps", m));
            }
}

TEST(LinkOrder, LongInMorePipelines) {
    using enum parallel::ScheduleKind;
    for (int const stages : {2, 3, 4})
        for (std::int64_t const micro_steps : {2, 4, 5}) {
            for (auto const schedule : {gpipe, one_f_one_b, zero_bubble})
                exchange_neighbours({schedule, stages, 1, micro_steps});
            for (int const chunks : {2, 3})
                exchange_neighbours({interleaved, stages, chunks, micro_steps});
        }
}

} // namespace
} // namespace trireme::test
