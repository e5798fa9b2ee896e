// Tests what is made of Slurm's description of a job, with made-up variables and answers.
#include "launch/job_environment.hpp"

#include <gtest/gtest.h>

#include <map>

#include "cluster/error.hpp"

namespace trireme::launch {
namespace {

using namespace std::chrono;

struct Slurm {
    std::map<std::string, std::string> variables;
    std::optional<std::string> answer; ///< of squeue
    std::vector<std::string> asked;

    JobEnvironment job() {
        return job_environment(
            [this](std::string const& name) {
                auto const found = variables.find(name);
                return found == variables.end() ? std::nullopt : std::optional(found->second);
            },
            [this](std::string const& command) {
                asked.push_back(command);
                return answer;
            });
    }
};

TEST(JobEnvironment, WithoutABatchSystemNothingIsKnownAndNothingAsked) {
    Slurm slurm{.variables = {{"SLURM_JOB_NUM_NODES", "7"}}};
    auto const [limits, note] = slurm.job();
    EXPECT_FALSE(limits.end);
    EXPECT_EQ(limits.nodes, 1);
    EXPECT_EQ(limits.job_id, "");
    EXPECT_EQ(note, "");
    EXPECT_TRUE(slurm.asked.empty());
}

TEST(JobEnvironment, TheEndIsAVariableSinceSlurm23) {
    Slurm slurm{.variables = {{"SLURM_JOB_ID", "12"},
                              {"SLURM_JOB_NUM_NODES", "4"},
                              {"SLURM_RESTART_COUNT", "2"},
                              {"SLURM_JOB_END_TIME", "1700000000"}}};
    auto const [limits, note] = slurm.job();
    EXPECT_EQ(limits.end, system_clock::time_point(seconds(1700000000)));
    EXPECT_EQ(limits.nodes, 4);
    EXPECT_EQ(limits.restarts, 2);
    EXPECT_EQ(limits.job_id, "12");
    EXPECT_EQ(note, "");
    EXPECT_TRUE(slurm.asked.empty());
}

TEST(JobEnvironment, AnEndThatNoClockCanHoldIsRefused) {
    for (std::string const end :
         {"9223372036854775807", "9223372037", "18446744073709551616", "-1", "soon", ""}) {
        Slurm slurm{.variables = {{"SLURM_JOB_ID", "12"}, {"SLURM_JOB_END_TIME", end}}};
        try {
            slurm.job();
            ADD_FAILURE() << end << " was taken";
        } catch (cluster::InputError const& error) {
            EXPECT_EQ(error.what(), "SLURM_JOB_END_TIME: " + end +
                                        ": legal: seconds since 1970, at most 9000000000");
        }
    }
    Slurm asked{.variables = {{"SLURM_JOB_ID", "12"}}, .answer = "9223372036854775807\n"};
    EXPECT_FALSE(asked.job().limits.end) << "squeue's answer for a job without a limit";
}

TEST(JobEnvironment, AnOlderSlurmIsAskedOnce) {
    Slurm slurm{.variables = {{"SLURM_JOB_ID", "12"}}, .answer = "1700000000\n"};
    EXPECT_EQ(slurm.job().limits.end, system_clock::time_point(seconds(1700000000)));
    EXPECT_EQ(slurm.asked,
              std::vector<std::string>{"env SLURM_TIME_FORMAT=%s squeue -h -j 12 -o %e"});
}

TEST(JobEnvironment, AnEndThatNobodyKnowsIsSaid) {
    using Answer = std::optional<std::string>;
    for (auto const& answer : std::vector<Answer>{std::nullopt, "N/A\n", "", "-5"}) {
        Slurm slurm{.variables = {{"SLURM_JOB_ID", "12"}}, .answer = answer};
        auto const [limits, note] = slurm.job();
        EXPECT_FALSE(limits.end);
        EXPECT_EQ(limits.job_id, "12");
        EXPECT_NE(note.find("when job 12 ends"), std::string::npos) << note;
    }
}

TEST(JobEnvironment, RefusesWhatSlurmDoesNotWrite) {
    for (auto const& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"SLURM_JOB_ID", "12; touch x"},
                                                          {"SLURM_JOB_ID", ""},
                                                          {"SLURM_JOB_NUM_NODES", "many"},
                                                          {"SLURM_RESTART_COUNT", "-1"}}) {
        Slurm slurm{.variables = {{"SLURM_JOB_ID", "12"}}, .answer = "1"};
        slurm.variables[name] = value;
        EXPECT_THROW(slurm.job(), cluster::InputError) << name;
        EXPECT_TRUE(slurm.asked.empty());
    }
}

} // namespace
} // namespace trireme::launch
