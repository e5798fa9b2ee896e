// The file that keeps what each step found of each of its samples.
#include <gtest/gtest.h>

#include <cstring>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/run/dynamics_log.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

class Dynamics : public testing::Test {
  protected:
    /// Steps first to last of two samples each, as a job writes them that begins at first - 1.
    void write(std::int64_t first, std::int64_t last) const {
        run::DynamicsLog log(path_);
        log.open(first - 1, 9);
        for (std::int64_t step = first; step <= last; ++step)
            log.append({{step, 7, 0.5 / static_cast<double>(step), 1, 0}, {step, 2, 1.0, 3, 2}});
    }
    std::string bytes() const { return cluster::read_file(path_); }
    /// The record at a place, from 0.
    run::SampleFinding record(std::size_t place) const {
        run::SampleFinding found;
        std::memcpy(&found, bytes().data() + (place + 1) * sizeof found, sizeof found);
        return found;
    }

    test::TemporaryFolder folder_;
    std::string path_ = folder_.path() + "/dynamics.bin";
};

TEST_F(Dynamics, RecordsLieByStepAndSample) {
    write(1, 2);
    EXPECT_EQ(bytes().size(), 32U * 5);
    EXPECT_EQ(bytes().substr(0, 16), "trireme-dynamics");
    EXPECT_EQ(record(0).sample, 2);
    EXPECT_EQ(record(1).sample, 7);
    EXPECT_EQ(record(3).step, 2);
    EXPECT_EQ(record(3).loss, 0.25);
    EXPECT_EQ(record(2).correct, 2);
}

TEST_F(Dynamics, AJobThatRepeatsStepsLeavesWhatAnUnbrokenOneLeaves) {
    write(1, 6);
    std::string const whole = bytes();
    cluster::write_file(path_, whole.substr(0, whole.size() - 5)); // killed in a write
    write(4, 6);
    EXPECT_EQ(bytes(), whole);
    write(1, 6);
    EXPECT_EQ(bytes(), whole);
}

TEST_F(Dynamics, ARunThatIsTakenBackLosesTheStepsAfter) {
    write(1, 3);
    std::string const whole = bytes();
    run::DynamicsLog log(path_);
    log.open(3, 9);
    log.append({{4, 1, 1.0, 1, 1}});
    log.cut(3);
    EXPECT_EQ(bytes(), whole);
    log.cut(0);
    EXPECT_EQ(bytes().size(), 32U);
}

TEST_F(Dynamics, ATornHeaderIsWrittenAnew) {
    cluster::write_file(path_, "trireme");
    write(1, 1);
    EXPECT_EQ(bytes().size(), 32U * 3);
}

TEST_F(Dynamics, WhatIsSomethingElseIsRefused) {
    write(1, 1);
    run::DynamicsLog other(path_);
    EXPECT_THROW(other.open(1, 10), cluster::InputError) << "another training split";
    cluster::write_file(path_, std::string(64, 'x'));
    EXPECT_THROW(other.open(1, 9), cluster::InputError);
    EXPECT_THROW(run::DynamicsLog(folder_.path()).open(0, 1), cluster::InputError);
}

TEST_F(Dynamics, NothingIsKeptWhereNothingIsAskedFor) {
    run::DynamicsLog log("");
    log.open(0, 1);
    log.append({{1, 0, 1.0, 1, 1}});
    log.cut(0);
    EXPECT_FALSE(cluster::is_there(path_));
}

} // namespace
} // namespace trireme::framework
