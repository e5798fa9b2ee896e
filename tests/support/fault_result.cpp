#include "tests/support/fault_result.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace trireme::test {

void record(FaultResult const& r) {
    char const* const file = std::getenv("TRIREME_FAULT_TABLE");
    if (!file || testing::Test::HasFailure()) return;
    auto const* const test = testing::UnitTest::GetInstance()->current_test_info();
    nlohmann::ordered_json const row{
        {"id", r.id},
        {"fault", r.fault},
        {"outcome", r.outcome},
        {"detect_seconds", r.detect_seconds},
        {"recover_seconds", r.recover_seconds},
        {"steps_lost", r.steps_lost},
        {"test", std::string(test->test_suite_name()) + "." + test->name()}};
    std::ofstream(file, std::ios::app) << row.dump() << '\n';
}

} // namespace trireme::test
