#include "tests/cluster/nccl_on_standin.hpp"

#include <fmt/format.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>

#include "cluster/thread_communicator.hpp"

namespace trireme::test {

Outcome run_on_standin(int ranks, standin::Options machine_options, Body const& body,
                       cluster::CommunicatorOptions const& options) {
    machine_options.devices = ranks;
    standin::Machine machine(machine_options);
    cluster::run_as_threads(
        ranks,
        [&](cluster::Communicator& control) {
            if (control.rank() == 0) standin::count_orderings();
            auto const world = cluster::make_nccl_world(control, {.device = control.rank()}, options);
            body(*world);
        },
        options);
    machine.drain();
    return {machine.violations(), machine.orderings(), machine.synchronisations()};
}

namespace {

/// Whether the loss of one ordering is noticed. Failures of the body are counted, not reported.
bool is_noticed(int ranks, standin::Options const& machine, Body const& body) {
    testing::TestPartResultArray failures;
    testing::ScopedFakeTestPartResultReporter const intercept(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures);
    try {
        Outcome const outcome = run_on_standin(ranks, machine, body, {.deadline = std::chrono::seconds(2)});
        return !outcome.violations.empty() || failures.size() > 0;
    } catch (std::exception const&) {
        return true;
    }
}

} // namespace

void expect_every_ordering_needed(std::string const& name, int ranks, Body const& body) {
    Outcome const whole = run_on_standin(ranks, {.longest_pause = 20}, body);
    ASSERT_TRUE(whole.violations.empty()) << whole.violations.front();
    struct Row {
        int found = 0, noticed = 0;
    };
    std::map<std::string, Row> rows;
    for (std::size_t k = 0; k < whole.orderings.size(); ++k) {
        Row& row = rows[whole.orderings[k]];
        ++row.found;
        bool const noticed = is_noticed(ranks, {.longest_pause = 20, .drop = k}, body);
        row.noticed += noticed;
        EXPECT_TRUE(noticed) << name << ": ordering " << k << " (" << whole.orderings[k] << ") is not needed";
    }
    EXPECT_FALSE(rows.empty());
    fmt::print("{}, {} ranks: each ordering of rank 0 left out in turn\n", name, ranks);
    for (auto const& [what, row] : rows)
        fmt::print("  {:<24} {:>4} found, {:>4} noticed when left out\n", what, row.found, row.noticed);
}

} // namespace trireme::test
