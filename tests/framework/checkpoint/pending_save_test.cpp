// The protocol by which ranks agree on a save that each makes at its own pace.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/checkpoint/pending_save.hpp"

namespace trireme::framework {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 60s;

TEST(PendingSave, CommitsWhatEveryRankReported) {
    for (int const ranks : {1, 2, 5}) {
        std::vector<std::string> committed;
        cluster::run_as_threads(ranks, [&](auto& world) {
            checkpoint::PendingSave save(
                world, [&] { return std::string(static_cast<std::size_t>(world.rank()), 'x'); },
                [&](auto const& reports) { committed = reports; },
                [] { FAIL() << "nothing failed"; });
            save.wait(kPatience);
            EXPECT_EQ(save.error(), "");
        });
        ASSERT_EQ(committed.size(), static_cast<std::size_t>(ranks));
        for (std::size_t r = 0; r < committed.size(); ++r)
            EXPECT_EQ(committed[r], std::string(r, 'x'));
    }
}

/// A poll returns at once while another rank writes, and other collectives go on meanwhile.
TEST(PendingSave, NoStepWaitsForAWriter) {
    std::atomic<bool> written = false;
    std::atomic<int> steps_meanwhile = 0;
    cluster::run_as_threads(3, [&](auto& world) {
        auto const group = world.split(0, world.rank(), "checkpoint");
        checkpoint::PendingSave save(
            *group,
            [&] {
                while (world.rank() == 1 && !written) std::this_thread::sleep_for(1ms);
                return std::string("done");
            },
            [](auto const&) {}, [] {});
        for (int step = 0; step < 20; ++step) {
            EXPECT_FALSE(save.poll());
            std::uint8_t flag = 0;
            world.all_reduce({&flag, 1, cluster::DType::u8}, cluster::ReduceOp::max, "step").wait();
            ++steps_meanwhile;
        }
        world.barrier("all stepped");
        written = true;
        save.wait(kPatience);
        EXPECT_EQ(save.error(), "");
    });
    EXPECT_EQ(steps_meanwhile, 60);
}

TEST(PendingSave, OneRankThatCannotWriteIsTheOutcomeOnEveryRank) {
    bool discarded = false;
    cluster::run_as_threads(3, [&](auto& world) {
        checkpoint::PendingSave save(
            world,
            [&]() -> std::string {
                if (world.rank() == 2) throw cluster::JobError("rank-00002.h5: no space \xff left");
                return "fine";
            },
            [](auto const&) { FAIL() << "committed"; }, [&] { discarded = true; });
        save.wait(kPatience);
        EXPECT_EQ(save.error(), "rank-00002.h5: no space \xEF\xBF\xBD left");
    });
    EXPECT_TRUE(discarded);
}

TEST(PendingSave, ACommitThatFailsIsTheOutcomeOnEveryRank) {
    cluster::run_as_threads(2, [&](auto& world) {
        checkpoint::PendingSave save(
            world, [] { return std::string(); },
            [](auto const&) {
                throw std::runtime_error("manifest.json: " + std::string(5000, 'e'));
            },
            [] {});
        save.wait(kPatience);
        EXPECT_TRUE(save.error().starts_with("manifest.json: eee"));
        EXPECT_LT(save.error().size(), 1024U);
    });
}

TEST(PendingSave, ARankThatNeverComesIsReported) {
    std::atomic<bool> gone_on = false;
    EXPECT_THROW(cluster::run_as_threads(
                     2,
                     [&](auto& world) {
                         checkpoint::PendingSave save(
                             world,
                             [&] {
                                 while (world.rank() == 1 && !gone_on)
                                     std::this_thread::sleep_for(1ms);
                                 return std::string();
                             },
                             [](auto const&) {}, [] {});
                         try {
                             save.wait(world.rank() == 0 ? 200ms : 60s);
                         } catch (cluster::JobError const& error) {
                             gone_on = true;
                             if (world.rank() == 0) {
                                 EXPECT_NE(std::string(error.what()).find("waited 0.2 s"),
                                           std::string::npos);
                             }
                             throw;
                         }
                     }),
                 cluster::JobError);
}

} // namespace
} // namespace trireme::framework
