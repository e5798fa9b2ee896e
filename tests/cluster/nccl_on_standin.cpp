#include "tests/cluster/nccl_on_standin.hpp"

#include <fmt/format.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cluster/thread_communicator.hpp"

namespace trireme::test {

StandinOutcome run_on_standin(int ranks, standin::Options machine_options, Body const& body,
                              cluster::CommunicatorOptions const& options, int counted) {
    machine_options.devices = ranks;
    standin::Machine machine(machine_options);
    cluster::run_as_threads(
        ranks,
        [&](cluster::Communicator& control) {
            if (control.rank() == counted) standin::count_orderings();
            auto const world =
                cluster::make_nccl_world(control, {.device = control.rank()}, options);
            body(*world);
        },
        options);
    machine.drain();
    return {machine.violations(), machine.orderings(), machine.synchronisations(),
            machine.aborts()};
}

Notice notice_of(int ranks, standin::Options const& machine, Body const& body, int counted) {
    testing::TestPartResultArray failures;
    testing::ScopedFakeTestPartResultReporter const intercept(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures);
    try {
        StandinOutcome const outcome =
            run_on_standin(ranks, machine, body, {.deadline = std::chrono::seconds(60)}, counted);
        return !outcome.violations.empty() ? Notice::violation
               : failures.size() > 0       ? Notice::value
                                           : Notice::none;
    } catch (std::exception const&) {
        return Notice::error;
    }
}

std::vector<LeftOut> leave_out_each_ordering(int ranks, Body const& body, standin::Options machine,
                                             int counted) {
    StandinOutcome const whole =
        run_on_standin(ranks, machine, body, {.deadline = std::chrono::seconds(60)}, counted);
    EXPECT_TRUE(whole.violations.empty()) << whole.violations.front();
    std::vector<LeftOut> rows;
    for (std::size_t k = 0; k < whole.orderings.size(); ++k) {
        machine.drop = {k};
        rows.push_back({whole.orderings[k], notice_of(ranks, machine, body, counted)});
    }
    return rows;
}

std::map<std::string, Notice> leave_out_each_name(int ranks, Body const& body,
                                                  standin::Options machine) {
    StandinOutcome const whole = run_on_standin(ranks, machine, body);
    EXPECT_TRUE(whole.violations.empty()) << whole.violations.front();
    std::map<std::string, Notice> rows;
    for (auto const& name : std::set(whole.orderings.begin(), whole.orderings.end())) {
        machine.drop_all = name;
        rows[name] = notice_of(ranks, machine, body);
    }
    return rows;
}

void expect_every_ordering_needed(std::string const& name, int ranks, Body const& body,
                                  standin::Options const& machine) {
    std::vector<LeftOut> const rows = leave_out_each_ordering(ranks, body, machine);
    EXPECT_FALSE(rows.empty());
    std::map<std::string, std::map<Notice, int>> table;
    for (std::size_t k = 0; k < rows.size(); ++k) {
        ++table[rows[k].what][rows[k].notice];
        EXPECT_NE(rows[k].notice, Notice::none)
            << name << ": ordering " << k << " (" << rows[k].what << ") is not needed";
    }
    fmt::print("{}, {} ranks: each ordering of rank 0 left out in turn\n", name, ranks);
    for (auto& [what, by] : table)
        fmt::print("  {:<32} noticed by order {:>3}, by value {:>3}, by an error {:>3}, not "
                   "noticed {:>3}\n",
                   what, by[Notice::violation], by[Notice::value], by[Notice::error],
                   by[Notice::none]);
}

} // namespace trireme::test
