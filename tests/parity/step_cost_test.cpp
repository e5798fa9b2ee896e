// Launches and bytes are counted: of known operations, of a small step, and of the layer of a large
// model.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "framework/planning/memory_meter.hpp"
#include "framework/planning/step_cost.hpp"
#include "parallel/dry_world.hpp"
#include "parallel/launches.hpp"
#include "tests/parity/known_models.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using planning::Cost;
using planning::LaunchCounter;

TEST(StepCost, BytesOfKnownOperations) {
    at::Tensor const a = at::zeros({8, 16}), b = at::zeros({16, 4}), row = at::zeros({16});
    at::Tensor const ids = at::zeros({3}, at::kLong);
    LaunchCounter const counter(false);
    at::Tensor const c = at::mm(a, b);                 // reads 512 + 256, writes 128
    a.add_(row);                                       // reads 512 + 64, writes 512
    at::Tensor const view = a.t().narrow(0, 0, 4);     // nothing
    at::Tensor const half = a.to(at::kBFloat16);       // reads 512, writes 256
    at::Tensor const same = a.to(at::kFloat);          // nothing
    a.zero_();                                         // writes 512
    at::Tensor const picked = a.index_select(0, ids);  // reads 3 rows of 64 and 24, writes 192
    double const number = c.sum().item<double>();      // reads 128, writes 4, and waits
    parallel::note_kernel("trireme::known", {a}, {c}); // reads 512, writes 128
    Cost const total = counter.total();
    EXPECT_EQ(number, 0.0);
    EXPECT_EQ(total.launches, 7);
    EXPECT_EQ(total.read, 768 + 576 + 512 + 216 + 128 + 512);
    EXPECT_EQ(total.written, 128 + 512 + 256 + 512 + 192 + 4 + 128);
    EXPECT_EQ(total.product_bytes, 768 + 128);
    EXPECT_EQ(total.products, 1);
    EXPECT_EQ(total.waits, 1);
    EXPECT_EQ(total.allocations, 4);
}

planning::StepDescription one_sample(std::int64_t tokens, parallelize::Compute compute) {
    return planning::even_step(llama_3_8b(), {}, {.compute = compute}, {1, tokens, tokens}, 1);
}

/// Counts a step on the CPU, where operations compute.
std::map<std::string, std::int64_t> counted_step(planning::StepDescription const& step) {
    auto const world = parallel::make_dry_world(step.mesh, 0);
    std::map<std::string, std::int64_t> launches;
    std::optional<LaunchCounter> counter;
    planning::count_memory(tiny_llama(false, 0), step, *world, at::kCPU,
                           [&] { counter.emplace(false); });
    for (auto const& place : counter->places())
        for (auto const& [name, cost] : place.operations) launches[name] += cost.launches;
    return launches;
}

thread_local std::map<std::string, std::int64_t>* seen = nullptr;

/// Calls of a step by name, by a watcher that knows nothing of launches.
std::map<std::string, std::int64_t> watched_step(planning::StepDescription const& step) {
    auto const world = parallel::make_dry_world(step.mesh, 0);
    std::map<std::string, std::int64_t> calls;
    at::CallbackHandle handle = 0;
    planning::count_memory(tiny_llama(false, 0), step, *world, at::kCPU, [&] {
        seen = &calls;
        handle = at::addThreadLocalCallback(at::RecordFunctionCallback(
            [](at::RecordFunction const& function) -> std::unique_ptr<at::ObserverContext> {
                (*seen)[function.name()] += 1;
                return nullptr;
            }));
    });
    at::removeCallback(handle);
    return calls;
}

TEST(StepCost, APlainWatcherSeesTheSameCalls) {
    auto const step = one_sample(24, parallelize::Compute::fp32);
    auto const counted = counted_step(step), watched = watched_step(step);
    std::int64_t compared = 0;
    for (auto const* name :
         {"aten::mm", "aten::addmm_", "aten::copy_", "aten::mul_", "aten::silu",
          "aten::silu_backward", "aten::add", "trireme::rms_norm", "trireme::rms_norm_backward",
          "trireme::attention_forward", "trireme::attention_backward", "trireme::apply_rotary",
          "trireme::cross_entropy", "trireme::adamw", "trireme::add_rows"}) {
        auto const ours = counted.contains(name) ? counted.at(name) : 0,
                   theirs = watched.contains(name) ? watched.at(name) : 0;
        EXPECT_EQ(ours, theirs) << name;
        compared += ours;
    }
    EXPECT_GT(compared, 50);
}

struct LayerCost {
    Cost forward, backward, head;
};

/// Costs of one layer of Llama-3 8B on one rank of `tensor`, and of all that the head does.
LayerCost layer_of_8b(int tensor = 1) {
    model::Config c = llama_3_8b();
    c.layers = 2;
    auto const step = planning::even_step(
        c, {.tensor = tensor}, {.compute = parallelize::Compute::bf16}, {1, 8192, 8192}, tensor);
    LayerCost found;
    for (auto const& place : planning::step_cost(c, step, 0, true)) {
        fmt::print("{} {}: {} launches, {} products, {:.2f} GB elementwise, {} allocations, {} of "
                   "{} collectives exposed\n",
                   place.doing, place.block, place.cost.launches, place.cost.products,
                   static_cast<double>(place.cost.elementwise()) / 1e9, place.cost.allocations,
                   place.cost.exposed, place.cost.collectives);
        if (place.block == 2)
            (place.doing == "forward" ? found.forward : found.backward) = place.cost;
        if (place.block == 3) found.head += place.cost;
    }
    return found;
}

/// Ceilings: whoever adds a launch or bytes says why, whoever takes some away lowers them.
TEST(StepCost, ALayerAndTheHeadOfLlama8BStayBelowTheirCeilings) {
    LayerCost const cost = layer_of_8b();
    EXPECT_EQ(cost.forward.launches, 10);
    EXPECT_EQ(cost.backward.launches, 20);
    EXPECT_EQ(cost.forward.products, 5);
    EXPECT_EQ(cost.backward.products, 14);
    EXPECT_LE(cost.forward.elementwise(), 1'500'000'000);
    // The product of gate and up is written again: 0.23 GB, for which a layer keeps 0.23 GB less.
    EXPECT_LE(cost.backward.elementwise(), 2'190'000'000);
    EXPECT_EQ(cost.head.launches, 15);
    EXPECT_EQ(cost.forward.waits + cost.backward.waits + cost.head.waits, 0);
}

/// Squares of the gradients of 18 matrices and vectors of layers and three of the ends, in one
/// launch.
TEST(StepCost, TheNormTakesFewLaunches) {
    model::Config c = llama_3_8b();
    c.layers = 2;
    auto const step =
        planning::even_step(c, {}, {.compute = parallelize::Compute::bf16}, {1, 2048, 2048}, 1);
    std::int64_t launches = 0;
    for (auto const& place : planning::step_cost(c, step, 0, true))
        if (place.doing == "norm") launches += place.cost.launches;
    EXPECT_LE(launches, 6);
}

/// Of eight tensor ranks, in two chunks of rows: the first gather and the last sum of attention and
/// of feed-forward are waited for, and backward the first gather of each.
TEST(StepCost, TensorRanksWaitForOneChunkOfRows) {
    LayerCost const cost = layer_of_8b(8);
    EXPECT_LE(cost.forward.launches + cost.backward.launches, 60);
    EXPECT_EQ(cost.forward.collectives, 2 * 4);
    EXPECT_EQ(cost.forward.exposed, 4);
    EXPECT_EQ(cost.backward.collectives, 2 * 2 + 4);
    EXPECT_EQ(cost.backward.exposed, 2);
    EXPECT_EQ(cost.forward.waits + cost.backward.waits + cost.head.waits, 0);
}

/// What a rank does forward, backward and so on in a step of 8 micro-steps of a Llama-3 8B with 8
/// layers.
std::map<std::string, Cost> phases_of(parallelize::ParallelSection const& section, int ranks,
                                      int rank) {
    model::Config c = llama_3_8b();
    c.layers = 8;
    int const micro_batches = 8 * ranks / section.pipeline;
    auto const step = planning::even_step(c, section, {.compute = parallelize::Compute::bf16},
                                          {micro_batches, 2048, 2048}, ranks);
    std::map<std::string, Cost> phases;
    for (auto const& place : planning::step_cost(c, step, rank, true))
        phases[place.doing] += place.cost;
    return phases;
}

/// Of the weights of 8 layers and both ends, nothing can be computed without the embeddings.
TEST(StepCost, RenewedWeightsComeBehindTheForwardPasses) {
    for (int const zero : {1, 2}) {
        auto const phases = phases_of({.zero = zero}, 8, 0);
        EXPECT_EQ(phases.at("forward").collectives, 10) << zero;
        EXPECT_EQ(phases.at("forward").exposed, 1) << zero;
        EXPECT_FALSE(phases.contains("refresh")) << zero;
    }
}

/// A stage in the middle computes nothing before its first activation, nor after its last gradient.
TEST(StepCost, AStageReceivesWhileItComputes) {
    auto const phases = phases_of({.pipeline = 4}, 4, 1);
    Cost messages;
    for (auto const* phase : {"step", "forward", "backward"}) messages += phases.at(phase);
    EXPECT_EQ(messages.collectives, 4 * 8);
    EXPECT_EQ(phases.at("step").exposed, 1);
    EXPECT_EQ(phases.at("forward").exposed, 0);
    EXPECT_EQ(phases.at("backward").exposed, 1);
}

/// Without its scores a layer keeps 34 bytes of a token and width (Korthikanti et al., section 4),
/// 27 if the product of gate and up is made again, divided by the tensor ranks. As there, this does
/// not count what is kept of a row: its norms' scales, and the logarithms of its scores' sums, 0.04
/// bytes.
TEST(StepCost, ALayerKeepsWhatTensorRanksDivide) {
    model::Config const c = llama_3_8b();
    constexpr std::int64_t kTokens = 8192;
    for (int const tensor : {1, 2, 4, 8}) {
        double const bytes =
            planning::profile_blocks(c, {.tensor = tensor, .length = kTokens, .gpu = true})
                .saved_layer /
            static_cast<double>(kTokens * c.hidden);
        fmt::print("{} tensor ranks: {:.2f} bytes of a token and width\n", tensor, bytes);
        EXPECT_LE(bytes, 27.04 / tensor);
    }
}

/// By the policy of libtorch's allocator for CUDA, freed memory is found again: the driver is asked
/// for memory in the first two steps alone.
TEST(StepCost, WarmStepsAskTheDriverForNoMemory) {
    model::Config c = llama_3_8b();
    c.layers = 4;
    struct Case {
        int ranks;
        parallelize::ParallelSection section;
    };
    for (auto const& [ranks, section] :
         {Case{1, {}}, Case{8, {.zero = 1}}, Case{8, {.zero = 3}},
          Case{8, {.zero = 3, .recompute = parallelize::Recompute::full}},
          Case{8, {.tensor = 8, .zero = 1}}, Case{4, {.pipeline = 4}},
          Case{2, {.pipeline = 2, .schedule = parallel::ScheduleKind::zero_bubble}}}) {
        auto const step =
            planning::even_step(c, section, {.compute = parallelize::Compute::bf16},
                                {4 * ranks / section.tensor / section.pipeline, 4096, 4096}, ranks);
        auto const states = planning::predict_allocator(c, step, ranks - 1, 4);
        for (auto const& state : states)
            fmt::print("{} calls of the driver, {:.2f} GB reserved, {:.2f} allocated\n",
                       state.device_calls, static_cast<double>(state.reserved) / 1e9,
                       static_cast<double>(state.most_allocated) / 1e9);
        EXPECT_GT(states[0].device_calls, 0);
        EXPECT_EQ(states[3].device_calls, states[1].device_calls) << ranks;
    }
}

std::int64_t launches_of(model::Config const& model, parallelize::Compute compute, int stages = 1) {
    std::int64_t launches = 0;
    auto const step =
        planning::even_step(model, {.pipeline = stages}, {.compute = compute}, {1, 16, 16}, stages);
    for (auto const& place : planning::step_cost(model, step, 0, true))
        if (place.block == 1) launches += place.cost.launches;
    return launches;
}

/// Attention that is not flash goes sample by sample, and its launches are counted like any others.
TEST(StepCost, AttentionThatIsNotFlashAsksForMoreLaunches) {
    model::Config plain = llama_3_8b();
    plain.layers = 2;
    model::Config dropped = plain, capped = plain;
    dropped.attention_dropout = 0.1;
    capped.attention_cap = 50;
    std::int64_t const flash = launches_of(plain, parallelize::Compute::bf16),
                       single = launches_of(plain, parallelize::Compute::fp32),
                       drop = launches_of(dropped, parallelize::Compute::bf16),
                       cap = launches_of(capped, parallelize::Compute::bf16);
    fmt::print("launches: flash {}, float32 {}, dropout {}, cap {}, 2 stages {}\n", flash, single,
               drop, cap, launches_of(plain, parallelize::Compute::bf16, 2));
    EXPECT_EQ(flash, 30);
    EXPECT_GT(single, flash + 20);
    EXPECT_GT(cap, single);
    EXPECT_GT(drop, cap);
}

/// A classifier reads one token of each sample: what follows attention is computed for that alone.
TEST(StepCost, TheLastLayerLeavesOutWhatItsHeadDoesNotRead) {
    model::Config c = llama_3_8b();
    c.layers = 2;
    c.head = model::HeadKind::classification;
    c.labels = {"no", "yes"};
    constexpr std::int64_t kTokens = 512, kBytes = 2; // of a number
    auto const step = planning::even_step(c, {}, {.compute = parallelize::Compute::bf16},
                                          {1, kTokens, kTokens}, 1);
    std::map<std::int64_t, Cost> forward;
    for (auto const& place : planning::step_cost(c, step, 0, true))
        if (place.doing == "forward") forward[place.block] = place.cost;
    EXPECT_EQ(forward[1].products, forward[2].products);
    // Gate and up are one product, which reads a token once.
    std::int64_t const output = 2 * c.hidden, feed_forward = 2 * c.hidden + 3 * c.feed_forward;
    EXPECT_EQ(forward[1].product_bytes - forward[2].product_bytes,
              (kTokens - 1) * (output + feed_forward) * kBytes);
}

} // namespace
} // namespace trireme::test
