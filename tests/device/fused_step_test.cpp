// A whole training step by the fused kernels of a GPU, on memory that the host cannot touch, beside
// one by the kernels of the CPU: the loss and every gradient, in each layout.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cluster/thread_communicator.hpp"
#include "framework/parity/trace.hpp"
#include "framework/weights/whole_tensor.hpp"
#include "tests/device/guarded_device.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using framework::parallelize::Compute;
using framework::parallelize::Recompute;
using parallel::ScheduleKind;

struct Layout {
    int ranks;
    framework::parallelize::ParallelSection parallel;
};

struct FirstStep {
    double loss = 0;
    framework::parity::Tensors gradients;
};

/// Gradients of the first step, whole, of a model with dropout.
FirstStep first_step(Layout const& layout, Compute compute, at::Device device) {
    FirstStep found;
    RunOptions const options{.mode = framework::parallelize::NumericsMode::fast,
                             .compute = compute,
                             .parallel = layout.parallel,
                             .device = device};
    cluster::run_as_threads(layout.ranks, [&](cluster::Communicator& world) {
        TinyRun run(world, options);
        double const loss = run.step();
        auto gradients = framework::parity::collect(run.model(), framework::weights::Kept::gradient,
                                                    world.rank() == 0);
        if (world.rank() == 0) found = {loss, std::move(gradients)};
    });
    return found;
}

/// Errors relative to the exact values: of the loss, and the largest and the root mean square of
/// all gradients, each by its norm.
struct Errors {
    double loss = 0, largest = 0, all = 0;
};

Errors errors_of(FirstStep const& found, FirstStep const& exact) {
    Errors errors{std::abs(found.loss / exact.loss - 1)};
    EXPECT_EQ(found.gradients.size(), exact.gradients.size());
    double differences = 0, norms = 0;
    for (auto const& [name, gradient] : exact.gradients) {
        double const norm = gradient.norm().item<double>(),
                     difference = (found.gradients.at(name).to(at::kDouble) - gradient)
                                      .norm()
                                      .item<double>();
        EXPECT_GT(norm, 0) << name;
        errors.largest = std::max(errors.largest, difference / norm);
        differences += difference * difference;
        norms += norm * norm;
    }
    errors.all = std::sqrt(differences / norms);
    return errors;
}

std::vector<Layout> layouts() {
    return {
        {1, {}},
        {1, {.recompute = Recompute::full}},
        {2, {.tensor = 2}},
        {2, {.zero = 1}},
        {2, {.zero = 3}},
        {2, {.pipeline = 2, .schedule = ScheduleKind::one_f_one_b}},
        {2, {.pipeline = 2, .schedule = ScheduleKind::gpipe}},
        {4, {.tensor = 2, .zero = 3, .recompute = Recompute::selective}},
        {4, {.pipeline = 2, .tensor = 2, .schedule = ScheduleKind::zero_bubble}},
        {4,
         {.pipeline = 2, .zero = 2, .schedule = ScheduleKind::interleaved, .virtual_stages = 2}}};
}

/// Each layout where it differs most from one rank.
std::vector<Layout> some_layouts() {
    auto const all = layouts();
    return {all[0], all[2], all[4], all[8]};
}

class FusedStep : public testing::Test {
  protected:
    FusedStep() { install_guarded_device(true); }
    ~FusedStep() override { install_guarded_device(); }
    FirstStep const exact_ = first_step({1, {}}, Compute::fp64, at::kCPU);
};

TEST_F(FusedStep, InFloat64ItIsTheCpus) {
    for (auto const& layout : layouts()) {
        Errors const e = errors_of(first_step(layout, Compute::fp64, kGuarded), exact_);
        EXPECT_LT(std::max(e.loss, e.largest), 1e-13) << describe(layout.ranks, layout.parallel);
    }
}

TEST_F(FusedStep, InFloat32ItIsWithinItsRounding) {
    for (auto const& layout : some_layouts()) {
        Errors const e = errors_of(first_step(layout, Compute::fp32, kGuarded), exact_);
        fmt::print("{}: loss {:.1e}, gradients {:.1e}, the worst {:.1e}\n",
                   describe(layout.ranks, layout.parallel), e.loss, e.all, e.largest);
        EXPECT_LT(e.loss, 1e-6);
        EXPECT_LT(e.largest, 1e-5);
    }
}

/// The CPU, too, computes in float32 between tensors of bfloat16: errors of one size, not the same.
TEST_F(FusedStep, InBfloat16ItIsAsCloseToFloat64AsTheCpuIs) {
    for (auto const& layout : some_layouts()) {
        Errors const there = errors_of(first_step(layout, Compute::bf16, kGuarded), exact_),
                     here = errors_of(first_step(layout, Compute::bf16, at::kCPU), exact_);
        fmt::print("{}: loss {:.1e}, gradients {:.2e} (CPU {:.2e}), the worst {:.2e} ({:.2e})\n",
                   describe(layout.ranks, layout.parallel), there.loss, there.all, here.all,
                   there.largest, here.largest);
        EXPECT_LT(there.loss, 1e-2);
        EXPECT_LT(there.all, 1.2 * here.all);
        EXPECT_LT(there.largest, 7e-2);
    }
}

} // namespace
} // namespace trireme::test
