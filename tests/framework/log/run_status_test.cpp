// A run's past and present, of folders made up by hand.
#include "framework/run/status.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cluster/error.hpp"
#include "cluster/flight_record.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;

class Status : public testing::Test {
  protected:
    void event(nlohmann::ordered_json const& e) {
        std::ofstream(folder_.path() + "/metrics.jsonl", std::ios::app) << e.dump() << '\n';
    }
    void job(double time, int step) {
        event({{"kind", "job"},
               {"step", step},
               {"total_steps", 100},
               {"host", "n1"},
               {"ranks", 2},
               {"time", time}});
    }
    void train(double time, int step) {
        event({{"kind", "train"}, {"step", step}, {"loss", 0.5}, {"seconds", 1.0}, {"time", time}});
    }
    test::TemporaryFolder folder_;
};

TEST_F(Status, StepsThatWereDoneAgainDoNotCount) {
    job(0, 0);
    for (int s = 1; s <= 8; ++s) train(s, s); // killed: the checkpoint of step 4 is taken up
    job(100, 4);
    for (int s = 5; s <= 10; ++s) train(96 + s, s);
    event({{"kind", "end"}, {"step", 10}, {"exit_code", 85}, {"time", 112.0}});
    run::Status const status = run::read_status(folder_.path());
    ASSERT_EQ(status.jobs.size(), 2U);
    EXPECT_EQ(status.jobs[0].kept_step, 4);
    EXPECT_EQ(status.jobs[0].last_step, 8);
    EXPECT_FALSE(status.jobs[0].exit_code);
    EXPECT_EQ(status.jobs[1].exit_code, 85);
    EXPECT_EQ(status.state, "to be continued");
    EXPECT_EQ(status.step, 10);
    EXPECT_DOUBLE_EQ(status.goodput, (4.0 + 6.0) / (8.0 + 12.0));
    ASSERT_TRUE(status.seconds_left);
    EXPECT_DOUBLE_EQ(*status.seconds_left, 90.0);
}

TEST_F(Status, ATornLineIsPassedOver) {
    job(0, 0);
    train(1, 1);
    std::ofstream(folder_.path() + "/metrics.jsonl", std::ios::app) << "{\"kind\":\"train\",\"st";
    EXPECT_EQ(run::read_status(folder_.path()).step, 1);
}

/// Status names a line that no run writes.
TEST_F(Status, AnEventOfAnotherShapeIsToldWithItsLine) {
    std::string const path = folder_.path() + "/metrics.jsonl";
    auto const refusal = [&](std::string const& line) {
        fs::remove(path);
        job(0, 0);
        std::ofstream(path, std::ios::app) << line << '\n';
        try {
            run::read_status(folder_.path());
        } catch (cluster::InputError const& error) {
            return std::string(error.what()).substr(path.size());
        }
        return std::string("accepted");
    };
    std::string const event =
        "legal: an event, a JSON object with a text \"kind\", as `trireme train` writes them";
    EXPECT_EQ(refusal("[1]"), ":2: [1]: " + event);
    EXPECT_EQ(refusal(R"({"kind": 5})"), ":2: {\"kind\":5}: " + event);
    EXPECT_EQ(refusal(R"({"kind": "train", "step": "x"})"),
              ":2: step: \"x\": legal: a whole number from 0 to 9007199254740992");
    EXPECT_EQ(refusal(R"({"kind": "train", "step": 1.5})"),
              ":2: step: 1.5: legal: a whole number from 0 to 9007199254740992");
    EXPECT_EQ(refusal(R"({"kind": "train", "step": 1, "time": 1e300})"),
              ":2: time: 1e+300: legal: a number from 0 to 253402300799");
    EXPECT_EQ(refusal(R"({"kind": "train", "step": 1, "time": 1, "loss": 1e999})"),
              ":2:49: 1e999: legal: a number that a double of 64 bits holds");
    EXPECT_EQ(refusal(R"({"kind": "end", "exit_code": [0], "time": 1})"),
              ":2: exit_code: [0]: legal: a whole number from 0 to 255");
    EXPECT_EQ(refusal(R"({"kind": "end", "why": {}, "time": 1})"), ":2: why: {}: legal: a text");
    EXPECT_EQ(refusal(R"({"kind": "end", "kind": "job"})"),
              ":2: key \"kind\" is given twice in one object; legal: once");
    EXPECT_EQ(refusal(R"({"kind": "train", "step": 1, "loss": null, "time": 1})"), "accepted");
    EXPECT_EQ(refusal(R"({"kind": "of another version"})"), "accepted");
}

TEST_F(Status, WhoDiedIsReadFromTheFlightRecords) {
    job(0, 0);
    train(1, 1);
    fs::create_directories(folder_.path() + "/flight");
    for (int rank = 0; rank < 2; ++rank) { // records of processes that are gone
        cluster::FlightRecorder recorder(rank, 2);
        recorder.keep_in(folder_.path(), 1);
        recorder.enter_step(7);
        recorder.enter_phase("step/update");
        if (rank == 0) recorder.asked_to_end();
    }
    for (int rank = 0; rank < 2; ++rank) {
        std::fstream file(cluster::flight_file(folder_.path(), rank),
                          std::ios::in | std::ios::out | std::ios::binary);
        std::int64_t const nobody = INT32_MAX; // no process has this number
        file.seekp(offsetof(cluster::FlightHeader, process));
        file.write(reinterpret_cast<char const*>(&nobody), sizeof nobody);
    }
    run::Status const status = run::read_status(folder_.path());
    EXPECT_EQ(status.guilty, (std::vector<int>{1}));
    EXPECT_EQ(status.state, "ended without a word");
    EXPECT_NE(status.why.find("phase step/update of step 7"), std::string::npos) << status.why;
}

TEST_F(Status, AFailedRunSaysSoAndWhy) {
    job(0, 0);
    train(1, 1);
    fs::create_directories(folder_.path() + "/flight");
    {
        cluster::FlightRecorder recorder(0, 1);
        recorder.keep_in(folder_.path(), 1);
        recorder.end(cluster::FlightEnd::failed, 1, "step 1: loss nan is not finite");
    }
    run::Status const status = run::read_status(folder_.path());
    EXPECT_EQ(status.state, "failed");
    EXPECT_NE(status.why.find("loss nan is not finite"), std::string::npos) << status.why;
    EXPECT_EQ(status.jobs.back().exit_code, 1);
}

TEST_F(Status, WhyARunEndedBeforeItsTime) {
    job(0, 0);
    event(
        {{"kind", "end"}, {"step", 15}, {"why", "ended early"}, {"exit_code", 0}, {"time", 15.0}});
    EXPECT_EQ(run::read_status(folder_.path()).why, "ended early");
    job(20, 15);
    EXPECT_EQ(run::read_status(folder_.path()).why, "") << "another job has begun";
}

TEST_F(Status, NoRoomIsMadeForRanksThatARecordMakesUp) {
    job(0, 0);
    fs::create_directories(folder_.path() + "/flight");
    { cluster::FlightRecorder(0, 1).keep_in(folder_.path(), 1); }
    std::fstream file(cluster::flight_file(folder_.path(), 0),
                      std::ios::in | std::ios::out | std::ios::binary);
    for (std::int32_t const size : {10'000'000, INT32_MAX, 0, -1}) {
        file.seekp(offsetof(cluster::FlightHeader, size));
        file.write(reinterpret_cast<char const*>(&size), sizeof size).flush();
        EXPECT_THROW(static_cast<void>(run::read_status(folder_.path())), cluster::InputError)
            << size;
    }
}

TEST_F(Status, WhatCannotBeReadIsNotEmpty) {
    fs::create_directories(folder_.path() + "/metrics.jsonl");
    EXPECT_THROW(static_cast<void>(run::read_status(folder_.path())), cluster::InputError);
}

TEST_F(Status, ARecordSurvivesWhatItsProcessDid) {
    fs::create_directories(folder_.path() + "/flight");
    auto const recorder = std::make_shared<cluster::FlightRecorder>(3, 8);
    recorder->on_group("data", std::vector<int>{1, 3, 5});
    recorder->keep_in(folder_.path(), 42);
    for (std::uint64_t i = 0; i < 100; ++i) {
        recorder->on_start("data", {i, cluster::Collective::all_reduce, "gradient",
                                    cluster::DType::f32, 10 + i, 0});
        if (i < 99) recorder->on_finish("data", i);
    }
    // while it is mapped: what is stored is in the file
    auto const flights = cluster::read_flights(folder_.path());
    ASSERT_EQ(flights.size(), 1U);
    auto const& group = flights[0].groups.at(1);
    EXPECT_STREQ(group.name.data(), "data");
    EXPECT_EQ(group.leader, 1);
    EXPECT_EQ(group.next, 5);
    EXPECT_EQ(group.calls, 100U);
    auto const& last = group.ring[99 % cluster::kFlightCalls];
    EXPECT_EQ(last.count, 109U);
    EXPECT_EQ(last.state, cluster::CallState::started);
    EXPECT_EQ(group.ring[98 % cluster::kFlightCalls].state, cluster::CallState::finished);
    EXPECT_GT(recorder->oldest_call(), 0);
}

TEST_F(Status, AFolderWithoutARunIsRefused) {
    EXPECT_THROW(static_cast<void>(run::read_status(folder_.path() + "/none")),
                 cluster::InputError);
}

} // namespace
} // namespace trireme::framework
