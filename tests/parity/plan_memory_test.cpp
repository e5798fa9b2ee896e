// Sums of what parts take, as a search uses them, beside the code that trains; prices of parts; and
// searches of large models.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <memory>
#include <utility>

#include "framework/planning/calibration.hpp"
#include "framework/planning/constants.hpp"
#include "framework/planning/layout_search.hpp"
#include "framework/planning/memory.hpp"
#include "framework/planning/price_step.hpp"
#include "tests/parity/known_models.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using parallel::Axis;
using parallel::ScheduleKind;
using parallelize::Recompute;

struct Sums {
    int ranks;
    parallelize::ParallelSection section;
    std::int64_t micro_batch = 1, micro_steps = 4;
    bool gpu = true;
};

model::Config eight_layers() {
    model::Config c = llama_3_8b();
    c.layers = 8;
    c.hidden = 1024;
    c.heads = 16;
    c.kv_heads = 4;
    c.head_size = 64;
    c.feed_forward = 3584;
    c.vocabulary = 32000;
    return c;
}

planning::OwnLayout layout_of(Sums const& c, model::Config const& model) {
    return {.mesh = parallelize::mesh_shape(c.section, c.ranks),
            .section = c.section,
            .compute = parallelize::Compute::bf16,
            .layers = static_cast<int>(model.layers),
            .micro_steps = c.micro_steps};
}

double worst_stage(Sums const& c, model::Config const& model) {
    constexpr std::int64_t kLength = 512;
    auto const layout = layout_of(c, model);
    auto const& mesh = layout.mesh;
    auto const sums = planning::own_memory(
        layout, planning::profile_blocks(model, {c.section.tensor, c.micro_batch, kLength,
                                                 c.section.recompute, layout.compute, c.gpu}));
    planning::StepDescription const step{
        .mesh = mesh,
        .section = c.section,
        .numerics = {.compute = layout.compute},
        .tokens_per_micro_batch = c.micro_batch * kLength,
        .lengths = std::vector<std::int64_t>(
            static_cast<std::size_t>(mesh[Axis::replicate] * mesh[Axis::shard] * c.micro_steps *
                                     c.micro_batch),
            kLength)};
    double worst = 0;
    for (int stage = 0; stage < mesh[Axis::pipeline]; ++stage) {
        auto const exact = planning::predict_memory(
            model, step, stage * mesh.product() / mesh[Axis::pipeline], c.gpu);
        double const sum = sums[static_cast<std::size_t>(stage)].total(),
                     error = sum / static_cast<double>(exact.peak.peak) - 1;
        worst = std::max(worst, std::abs(error));
        fmt::print("{}, stage {}: {:.1f} MB, in sums {:.1f} ({:+.2f} %), most at {} {}\n",
                   describe(c.ranks, c.section), stage, static_cast<double>(exact.peak.peak) / 1e6,
                   sum / 1e6, 100 * error, exact.peak.place.doing, exact.peak.place.block);
    }
    return worst;
}

TEST(PlanMemory, SumsAreCloseToTheCodeThatTrains) {
    for (Sums const& c : std::vector<Sums>{
             {1, {}},
             {1, {}, 4},
             {1, {}, 4, 2, false},
             {1, {.recompute = Recompute::full}, 4},
             {1, {.recompute = Recompute::selective}, 4},
             {2, {.tensor = 2}, 4},
             {8, {.tensor = 8}, 8},
             {4, {.zero = 1}, 2},
             {4, {.zero = 2}, 2},
             {8, {.zero = 3}, 2},
             {4, {.pipeline = 4}, 2, 8},
             {4, {.pipeline = 4, .schedule = ScheduleKind::zero_bubble}, 2, 8},
             {4, {.pipeline = 4, .schedule = ScheduleKind::zero_bubble}, 2, 8, false},
             {4, {.pipeline = 4, .schedule = ScheduleKind::interleaved, .virtual_stages = 2}, 2, 8},
             {16, {.pipeline = 2, .tensor = 2, .zero = 1, .recompute = Recompute::full}, 4, 4}})
        EXPECT_LT(worst_stage(c, eight_layers()), 0.08) << describe(c.ranks, c.section);
}

/// Its last layer keeps less than the others, and is counted as one of them.
TEST(PlanMemory, SumsOfAClassifierAreCloseToo) {
    model::Config model = eight_layers();
    model.head = model::HeadKind::classification;
    model.labels = {"no", "yes"};
    for (Sums const& c : std::vector<Sums>{
             {1, {}, 4}, {1, {.recompute = Recompute::full}, 4}, {4, {.pipeline = 4}, 2, 8}})
        EXPECT_LT(worst_stage(c, model), 0.08) << describe(c.ranks, c.section);
}

planning::MachineFile two_cores() {
    return planning::read_machine(TRIREME_GOLDEN "/machine_of_two_cores.yaml", "");
}

/// Prices the parts by an idle machine of two cores, for micro-batches of four samples: products of
/// fewer rows than it measured cost as much as the smallest.
planning::BlockTimes prices_of(model::Config const& model, Sums const& layout = {1, {}},
                               planning::MachineFile const& machine = two_cores()) {
    planning::SearchRequest const search{
        .model = model,
        .run = {.model = planning::shape_of(model), .sequence = 128, .global_batch = 8},
        .compute = parallelize::Compute::fp32,
        .machine = machine,
        .gpu = false};
    planning::OwnPlan plan{.layout = layout_of(layout, model), .micro_batch = 4};
    plan.layout.compute = search.compute;
    return planning::price_blocks(search, plan);
}

TEST(PlanTime, TheLastLayerOfAClassifierIsPricedByWhatItDoes) {
    model::Config model = eight_layers();
    auto const as_any = prices_of(model);
    EXPECT_EQ(as_any.last_layer.all(), as_any.layer.all());
    model.head = model::HeadKind::classification;
    model.labels = {"no", "yes"};
    auto const times = prices_of(model);
    EXPECT_EQ(times.layer.all(), as_any.layer.all());
    // Left are the products of queries, keys and values, and attention.
    double const width = static_cast<double>(model.hidden),
                 keys = static_cast<double>(model.kv_heads * model.head_size),
                 left = width + 2 * keys,
                 all = left + width + 3 * static_cast<double>(model.feed_forward);
    EXPECT_GT(times.last_layer.all(), left / all * times.layer.all());
    EXPECT_LT(times.last_layer.all(), 0.5 * times.layer.all());
}

/// Prices on two ranks whose calls take `seconds` each, of which compute hides as much as
/// `overlap` says.
planning::BlockTimes prices_with_calls(double seconds, double overlap, int zero) {
    using cluster::Collective;
    auto machine = two_cores();
    machine.machine.gpus_per_node = 2;
    auto calibration = *machine.machine.calibration;
    calibration.overlap = overlap;
    for (auto const op :
         {Collective::all_reduce, Collective::all_gather, Collective::reduce_scatter})
        calibration.fits.push_back({.op = op, .latency = seconds});
    machine.machine.calibration =
        std::make_shared<planning::Calibration const>(std::move(calibration));
    return prices_of(eight_layers(), {2, {.zero = zero}}, machine);
}

TEST(PlanTime, ComputeHidesAsMuchOfACallAsWasMeasured) {
    auto const times = [](double overlap) { return prices_with_calls(1e-3, overlap, 3).layer; };
    auto const none = times(0), some = times(0.002), all = times(1);
    EXPECT_NEAR(none.data, 3e-3, 1e-9); // two gathers and a sum
    EXPECT_LT(some.data, none.data);
    EXPECT_GT(some.data, 0);
    EXPECT_EQ(all.data, 0);
    for (auto const& t : {some, all}) EXPECT_NEAR(t.all() - t.data, none.all() - none.data, 1e-9);
}

TEST(PlanTime, CallsOfAGroupFollowEachOther) {
    constexpr double kLong = 10;
    auto const none = prices_with_calls(kLong, 0, 3).layer,
               all = prices_with_calls(kLong, 1, 3).layer;
    EXPECT_NEAR(none.data, 3 * kLong, 1e-6);
    // Compute hides one call at a time, so that of three it hides no more than its own seconds.
    double const compute = none.all() - none.data;
    EXPECT_LT(all.data, none.data);
    EXPECT_GE(all.data, none.data - 1.25 * compute); // that of the ends hides a little, too
}

TEST(PlanTime, ComputeHidesCallsOfTheLastMicroStepToo) {
    auto const none = prices_with_calls(1e-3, 0, 1), all = prices_with_calls(1e-3, 1, 1);
    EXPECT_NEAR(none.layer_tail.data, 2e-3, 1e-9); // a sum, and a gather of new weights
    EXPECT_LT(all.layer_tail.data, none.layer_tail.data);
    EXPECT_NEAR(all.layer_tail.update, none.layer_tail.update, 1e-9);
}

planning::SearchRequest search_of(model::Config const& model, std::int64_t nodes,
                                  std::int64_t batch) {
    planning::SearchRequest search{
        .model = model,
        .run = {.model = planning::shape_of(model), .sequence = 8192, .global_batch = batch},
        .machine = planning::read_machine("dgx-h100", TRIREME_MACHINES),
        .profile = [&model](planning::ProfileRequest const& request) {
            return planning::profile_blocks(model, request);
        }};
    auto const constants = planning::read_constants(TRIREME_PLANNING "/constants.json");
    search.machine.machine = constants.complete(search.machine.machine, false);
    search.machine.machine.nodes = nodes;
    search.stack = constants.stack("trireme");
    return search;
}

/// Processor time, not the clock: other programs may have the machine.
double search_seconds(planning::SearchRequest const& search) {
    auto const start = std::clock();
    auto const result = planning::search_layouts(search);
    double const seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_FALSE(result.fitting.empty());
    fmt::print("{} layouts fit, {} do not: {:.2f} s; best: {:.3f} s a step, {}\n",
               result.fitting.size(), result.refused.size(), seconds,
               result.fitting.front().time.step, planning::to_text(result.fitting.front().plan));
    return seconds;
}

TEST(PlanMemory, LargeModelsAreSearchedInSeconds) {
    model::Config const model = llama_3_70b();
    EXPECT_LT(search_seconds(search_of(model, 128, 1024)), 10);
    model::Config larger = model;
    larger.hidden = 16384;
    larger.layers = 126;
    larger.heads = 128;
    larger.feed_forward = 53248;
    EXPECT_LT(search_seconds(search_of(larger, 2048, 2048)), 60);
}

} // namespace
} // namespace trireme::test
