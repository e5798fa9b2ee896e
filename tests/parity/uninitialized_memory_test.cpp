// Nothing reads memory before it is written: libtorch fills every new tensor with NaN here.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "framework/parity/certificate.hpp"
#include "framework/parity/check.hpp"
#include "tests/parity/golden_problem.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;
using framework::parallelize::Compute;
using framework::parallelize::NumericsMode;

/// at::empty gives NaN while it lives.
class FilledWithNan {
  public:
    FilledWithNan() {
        at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
        at::globalContext().setDeterministicFillUninitializedMemory(true);
    }
    ~FilledWithNan() { at::globalContext().setDeterministicAlgorithms(false, false); }
    FilledWithNan(FilledWithNan const&) = delete;
    FilledWithNan& operator=(FilledWithNan const&) = delete;
};

/// Two layouts for each stage of ZeRO, on 2 and 4 ranks.
std::vector<Layout> stages_of_zero(std::string const& folder) {
    std::vector<Layout> chosen;
    for (auto const ranks : {2, 4}) {
        auto const some = covering_of_world(golden_layouts(folder, 4), ranks);
        for (int const zero : {0, 1, 2, 3}) {
            auto const found = std::ranges::find_if(
                some, [&](Layout const& l) { return l.parallel.zero == zero; });
            if (found != some.end()) chosen.push_back(*found);
        }
    }
    return chosen;
}

class UninitializedMemory
    : public testing::TestWithParam<std::tuple<char const*, NumericsMode, Compute>> {};

TEST_P(UninitializedMemory, IsNeverRead) {
    auto const [folder, mode, compute] = GetParam();
    FilledWithNan const filled;
    ASSERT_TRUE(at::empty({3}).isnan().all().item<bool>());
    auto const layouts = stages_of_zero(folder);
    ASSERT_GE(layouts.size(), 6U);
    auto const report = check(golden_problem(folder, mode, compute), layouts, run_as_threads());
    EXPECT_TRUE(report.passed()) << summary_of(report);
}

// The numbers of Apertus' activation that nobody trains lie in one unit with weights.
INSTANTIATE_TEST_SUITE_P(
    Models, UninitializedMemory,
    testing::Values(std::tuple("bert", NumericsMode::fast, Compute::fp32),
                    std::tuple("llama", NumericsMode::bitwise, Compute::fp32),
                    std::tuple("apertus-tokens", NumericsMode::fast, Compute::fp32),
                    std::tuple("apertus-tokens", NumericsMode::bitwise, Compute::fp32)));

} // namespace
} // namespace trireme::test
