// Each judgement of `trireme doctor`, on invented jobs: what is wrong is found, what is right is
// not.
#include "launch/doctor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace trireme::launch {
namespace {

constexpr std::int64_t kGB = 1'000'000'000;

std::vector<int> cores(int first, int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

/// Two hosts of 8 cores with two ranks each, every rank on 4 cores of its own: nothing is wrong.
std::vector<RankFacts> good_job() {
    std::vector<RankFacts> ranks;
    for (int r = 0; r < 4; ++r)
        ranks.push_back({.rank = r,
                         .host = r < 2 ? "n1" : "n2",
                         .launcher = "mpirun",
                         .versions = "trireme 1",
                         .processor = "X",
                         .capability = "AVX2",
                         .pid = 100 + r,
                         .cores = cores(r % 2 * 4, 4),
                         .cores_online = 8,
                         .memory = 64 * kGB,
                         .shared_memory = kGB,
                         .network = "eth0",
                         .clock_offset = r ? 1e-5 : 0,
                         .round_trip = r ? 1e-4 : 0});
    return ranks;
}

Finding found(std::vector<RankFacts> const& ranks, std::string const& item) {
    auto const findings = judge_job(ranks);
    auto const one = std::ranges::find(findings, item, &Finding::item);
    return one == findings.end() ? Finding{Severity::problem, "none", "not judged", ""} : *one;
}

TEST(Doctor, AGoodJobHasNoFinding) {
    for (auto const& finding : judge_job(good_job())) {
        EXPECT_EQ(finding.severity, Severity::ok) << finding.item << ": " << finding.text;
        EXPECT_TRUE(finding.cure.empty()) << finding.item;
    }
}

TEST(Doctor, EachTroubleIsFoundAndHasACure) {
    struct Case {
        std::string item, part;
        Severity severity;
        std::function<void(std::vector<RankFacts>&)> break_it;
    };
    auto const all = [](auto change) {
        return [change](std::vector<RankFacts>& ranks) {
            for (auto& r : ranks) change(r);
        };
    };
    for (auto const& [item, part, severity, break_it] : std::vector<Case>{
             {"launcher", "srun without PMIx", Severity::problem,
              all([](auto& r) { r.launcher = "srun without PMIx"; })},
             {"binding", "more ranks than cores", Severity::warning,
              all([](auto& r) { r.cores = {0}; })},
             {"binding", "two ranks are bound to one core", Severity::warning,
              [](auto& ranks) { ranks[1].cores = cores(3, 4); }},
             {"binding", "half of the host", Severity::warning,
              all([](auto& r) { r.cores_online = 64; })},
             {"binding", "SLURM_CPUS_PER_TASK is 8", Severity::warning,
              all([](auto& r) { r.slurm_cpus_per_task = 8; })},
             {"threads", "OMP_NUM_THREADS is 1", Severity::warning,
              all([](auto& r) { r.omp_threads = 1; })},
             {"threads", "time of 2.0 cores", Severity::warning, all([](auto& r) { r.quota = 2; })},
             {"versions", "trireme 1 on n1, but trireme 2 on n2", Severity::problem,
              [](auto& ranks) { ranks[3].versions = "trireme 2"; }},
             {"processor", "but Y on n2", Severity::warning,
              [](auto& ranks) { ranks[2].processor = "Y"; }},
             {"instructions", "but AVX512 on n2", Severity::warning,
              [](auto& ranks) { ranks[2].capability = "AVX512"; }},
             {"memory", "n2: 1.0 GB", Severity::warning,
              [](auto& ranks) { ranks[3].memory = kGB; }},
             {"/dev/shm", "n1: 15 MiB free for 2 ranks", Severity::warning,
              [](auto& ranks) { ranks[0].shared_memory = 16'000'000; }},
             {"network", "eth0 docker0", Severity::warning,
              all([](auto& r) { r.network = "eth0 docker0"; })},
             {"clocks", "5000.000 ms apart (rank 3 on n2", Severity::warning,
              [](auto& ranks) { ranks[3].clock_offset = -5; }}}) {
        auto ranks = good_job();
        break_it(ranks);
        Finding const finding = found(ranks, item);
        EXPECT_EQ(finding.severity, severity) << item << ": " << finding.text;
        EXPECT_NE(finding.text.find(part), std::string::npos) << item << ": " << finding.text;
        EXPECT_FALSE(finding.cure.empty()) << item;
    }
}

TEST(Doctor, FactsSurviveTheWire) {
    RankFacts facts = good_job()[3];
    facts.quota = 1.5;
    facts.slurm_cpus_per_task = 7;
    EXPECT_EQ(to_json(facts_from_json(to_json(facts))), to_json(facts));
    EXPECT_EQ(to_json(facts).size(), 17U)
        << "a field that is not carried is judged as if it were unset";
}

TEST(Doctor, RangesOfCores) {
    EXPECT_EQ(ranges({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
    EXPECT_EQ(ranges({}), "");
}

} // namespace
} // namespace trireme::launch
