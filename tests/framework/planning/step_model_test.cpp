// The model behind `trireme plan --rows` against formulas of papers, and the promises about its
// constants and about what it may read.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "framework/planning/collective_cost.hpp"
#include "framework/planning/kernels.hpp"
#include "framework/planning/published_rows.hpp"
#include "framework/planning/stage_plan.hpp"
#include "tests/framework/planning/step_model_support.hpp"

namespace trireme::test {
namespace {

using namespace framework::planning;

std::string constants_file() {
    return TRIREME_PLANNING "/constants.json";
}

nlohmann::json constants_json() {
    std::ifstream file(constants_file());
    std::stringstream text;
    text << file.rdbuf();
    return data::parse_json(constants_file(), text.str());
}

TEST(CollectiveCost, RingsMoveWhatTheyMustOverTheirSlowestLink) {
    auto const machine = simple_machine(8, 4);
    // 2 (n - 1) / n of the array for an all-reduce (Patarasuk and Yuan 2009), half for a gather
    EXPECT_NEAR(all_reduce_seconds({8, 1}, machine, 1e9), 2 * 7.0 / 8 * 1e9 / 100e9, 1e-12);
    EXPECT_NEAR(all_gather_seconds({8, 1}, machine, 1e9), 7.0 / 8 * 1e9 / 100e9, 1e-12);
    EXPECT_NEAR(all_gather_seconds({32, 1}, machine, 1e9), 31.0 / 32 * 1e9 / 10e9, 1e-12);
    // Eight rings at once, one for each GPU of a node, share its network.
    EXPECT_NEAR(all_gather_seconds({4, 8}, machine, 1e9), 3.0 / 4 * 1e9 / (10e9 / 8), 1e-12);
    EXPECT_EQ(all_reduce_seconds({1, 1}, machine, 1e9), 0);
}

TEST(CollectiveCost, RingsWithOneRankOnANodeDoNotCrowdTheNetwork) {
    auto machine = simple_machine(8, 16);
    double const alone = all_gather_seconds({16, 8}, machine, 1e9);
    double const together = all_gather_seconds({128, 1}, machine, 1e9);
    machine.network.contention = 0.2;
    EXPECT_DOUBLE_EQ(all_gather_seconds({16, 8}, machine, 1e9), alone);
    EXPECT_NEAR(all_gather_seconds({128, 1}, machine, 1e9), 1.6 * together, 1e-9); // 3 doublings
}

TEST(CollectiveCost, LatencyCountsTheHopsOfARing) {
    auto machine = simple_machine(8, 4);
    machine.node_link.latency = 1e-6;
    machine.network.latency = 10e-6;
    EXPECT_NEAR(all_gather_seconds({8, 1}, machine, 1) * 1e6, 7, 1e-3);
    EXPECT_NEAR(all_gather_seconds({32, 1}, machine, 1) * 1e6, 28 + 40, 1e-3);
}

TEST(Kernels, LargeProductsReachThePeakAndSmallOnesTheMemory) {
    auto const gpu = simple_machine(1, 1).gpu;
    double const flops = 2.0 * 25600 * 12800 * 4096; // whole waves of whole tiles
    EXPECT_NEAR(matrix_seconds(gpu, 25600, 12800, 4096), flops / 1e14, flops / 1e14 * 0.01);
    EXPECT_NEAR(matrix_seconds(gpu, 1, 4096, 4096), 2 * (4096.0 * 4096 + 2 * 4096) / 2e12,
                matrix_seconds(gpu, 1, 4096, 4096) * 0.6);
}

TEST(StepTime, TheBubbleIsThatOfOneForwardOneBackward) {
    auto const machine = simple_machine(1, 4);
    for (std::int64_t const micro_batches : {4, 8, 32}) {
        auto w = gpt(4, micro_batches);
        Stack stack;
        stack.blocking_transfers = false;
        auto const time = predict_time(w, stack, machine);
        // (p - 1) / m of the busy time (Narayanan et al. 2021, 2.2.1); transfers hide but for the
        // first and the last of each stage.
        EXPECT_NEAR(time.bubble / time.compute, 3.0 / static_cast<double>(micro_batches), 0.06)
            << micro_batches;
        EXPECT_NEAR(time.compute + time.tensor_exposed + time.pipeline_exposed + time.bubble +
                        time.data_exposed + time.optimizer + time.other,
                    time.step, 1e-9 * time.step);
    }
}

TEST(StepTime, MatrixProductsAreThoseOfNarayanan) {
    // 96 B s l h^2 (1 + s / 6h + V / 16lh) with recomputation, three quarters of it without
    auto w = gpt(1, 1);
    w.flash_attention = true;
    Stack stack;
    stack.constants.elementwise = 0;
    stack.constants.attention = 1;
    auto machine = simple_machine(1, 1);
    machine.gpu.multiprocessors = 64; // the tiles of all products make whole waves
    machine.gpu.memory_bandwidth = 1e15;
    double const s = 2048, h = 4096, layers = 8;
    double const flops = 72 * s * layers * h * h * (1 + s / (6 * h));
    EXPECT_NEAR(predict_time(w, stack, machine).compute, flops / 1e14, 0.04 * flops / 1e14);
}

TEST(Memory, ActivationsAreThoseOfKorthikanti) {
    // Korthikanti et al. 2022, table 2, without the bits of dropout's masks that frameworks keep as
    // bytes: s b h (10 + 24 / t + 5 a s / (h t)), and all over t with sequence parallelism.
    auto w = gpt(1, 1);
    w.flash_attention = false;
    w.layout.tensor = 4;
    w.layout.data = 1;
    Stack stack;
    stack.logits_bytes = 0;
    double const s = 2048, h = 4096, a = 32, layers = 8, t = 4;
    auto const of = [&](Workload const& some) {
        return predict_stages(some, stack).at(0).activations;
    };
    EXPECT_NEAR(of(w), layers * s * h * (10 + 24 / t + 5 * a * s / (h * t)), 1e-6 * of(w));
    w.layout.sequence_parallel = true;
    EXPECT_NEAR(of(w), layers * s * h * (34 + 5 * a * s / h) / t, 1e-6 * of(w));
    w.layout.recompute = Recompute::full;
    EXPECT_NEAR(of(w), layers * 2 * s * h / t + s * h * (34 + 5 * a * s / h) / t, 1e-6 * of(w));
}

TEST(Memory, StagesHoldTheMicroBatchesInFlight) {
    auto const w = gpt(4, 16);
    Stack const stack;
    auto const stages = predict_stages(w, stack);
    ASSERT_EQ(stages.size(), 4u);
    for (int stage = 0; stage < 4; ++stage)
        EXPECT_NEAR(stages[static_cast<std::size_t>(stage)].activations / stages[3].activations,
                    4 - stage, 1e-9);
}

TEST(Memory, ZeroDividesWhatRajbhandariSays) {
    // Rajbhandari et al. 2020, figure 1: 2 + 2 + 12 bytes a parameter over N_d = 64 ranks
    auto w = gpt(1, 1);
    w.layout.data = w.layout.shard = 64;
    double const p = w.model.parameters();
    Stack stack;
    auto const state = [&](int zero) {
        w.layout.zero = zero;
        auto const use = predict_stages(w, stack).at(0);
        return (use.weights + use.gradients + use.optimizer) / p;
    };
    EXPECT_NEAR(state(1), 2 + 2 + 12.0 / 64, 1e-9);
    EXPECT_NEAR(state(2), 2 + (2 + 12.0) / 64, 1e-9);
    EXPECT_NEAR(state(3), (2 + 2 + 12.0) / 64, 1e-9);
}

TEST(Constants, AreAtMostSixOfAStackAndThreeOfAGpuOrALink) {
    auto const json = constants_json();
    for (auto const& stack : json.at("stacks"))
        EXPECT_LE(stack.at("constants").size(), 6u) << stack.at("name");
    for (auto const* kind : {"gpus", "node_links", "networks"})
        for (auto const& [name, entry] : json.at(kind).items()) {
            EXPECT_LE(entry.at("constants").size(), 3u) << name;
            EXPECT_FALSE(entry.at("source").get<std::string>().empty()) << name;
        }
    auto const constants = read_constants(constants_file());
    for (auto const& [name, gpu] : constants.gpus) EXPECT_NO_THROW(constants.node_link(name));
}

TEST(Constants, AreRefusedWhereTheyAreUnknown) {
    auto json = constants_json();
    json.at("gpus").at("A100 SXM 80GB").at("constants")["luck"] = 1;
    std::string const file = testing::TempDir() + "luck.json";
    std::ofstream(file) << json;
    try {
        read_constants(file);
        FAIL() << "taken";
    } catch (cluster::InputError const& error) {
        EXPECT_NE(std::string(error.what()).find("luck: unknown; legal: matrix_efficiency"),
                  std::string::npos)
            << error.what();
    }
}

nlohmann::json row() {
    return nlohmann::json::parse(R"({"id": "t:1", "table": "vtrain_single_node_a100", "source": "x",
        "model": {"hidden": 2048, "layers": 24, "heads": 16, "vocab": 50257, "experts": 0},
        "seq": 2048, "micro_batch": 2, "num_microbatches": 4, "global_batch": 64, "gpus": 8,
        "gpus_per_node": 8, "gpu": "A100 SXM 80GB", "tp": 1, "pp": 1, "dp": 8, "zero": 0,
        "recompute": "none", "usable": ["time"], "group": "g"})");
}

std::string csv_of(nlohmann::json const& json) {
    auto const constants = read_constants(constants_file());
    return predictions_csv({parse_row("rows.jsonl", json.dump(), 1, constants)});
}

TEST(Rows, WhatWasMeasuredIsNeverRead) {
    auto measured = row();
    std::string const without = csv_of(measured);
    for (auto const* name : {"measured", "usable", "reason", "group", "inferred", "note", "trust"})
        measured[name] = {{"step_s", 1e9}, {"oom", true}};
    EXPECT_EQ(csv_of(measured), without);
    EXPECT_TRUE(without.ends_with(",true\n")) << without;
}

TEST(Rows, OfAFrameworkWhoseFirstRankPrintsHaveThatStagesMemory) {
    auto json = row();
    json.merge_patch({{"table", "nanotron"},
                      {"gpus", 16},
                      {"tp", 1},
                      {"pp", 2},
                      {"schedule", "1f1b"},
                      {"seq", 4096},
                      {"micro_batch", 1},
                      {"num_microbatches", 32}});
    json["model"].merge_patch({{"layers", 16},
                               {"vocab", 131072},
                               {"heads", 32},
                               {"ffn", 8192},
                               {"gated", true},
                               {"tied", true}});
    json["main_grads_fp32"] = json["flash_attention"] = true;
    // The first stage has 10 of 20 shares of the work, and the embeddings: 18 bytes of a parameter,
    // 2 of a copy of gradients, and the libraries' 67 MB. The other has 6 layers and the
    // embeddings.
    double const layer = 4.0 * 2048 * 2048 + 3.0 * 2048 * 8192, embeddings = 131072.0 * 2048,
                 expected = 20 * (10 * layer + embeddings) + 67e6;
    std::string const line = csv_of(json).substr(csv_of(json).find('\n') + 1);
    std::string const after_time = line.substr(line.find(',', line.find(',') + 1) + 1);
    EXPECT_NEAR(std::stod(after_time), expected * 1e-9, 1e-4 * expected * 1e-9) << line;
}

TEST(Rows, ABatchGivesTheMicroBatchesThatAreNotStated) {
    auto derived = row();
    derived["num_microbatches"] = nullptr;
    EXPECT_EQ(csv_of(derived), csv_of(row()));
    auto other = row();
    other["num_microbatches"] = 8;
    EXPECT_NE(csv_of(other), csv_of(row()));
}

TEST(Rows, ThoseThatCannotBePredictedSayWhy) {
    auto const constants = read_constants(constants_file());
    auto const refused = [&](auto const& change) {
        auto json = row();
        change(json);
        auto const parsed = parse_row("rows.jsonl", json.dump(), 7, constants);
        EXPECT_EQ(csv_of(json).substr(csv_of(json).find('\n') + 1), "t:1,,,,\n");
        return parsed.refused;
    };
    EXPECT_EQ(refused([](auto& j) { j["gpus"] = nullptr; }), "gpus: not stated");
    EXPECT_EQ(refused([](auto& j) { j.erase("model"); }), "model: missing; legal: an object");
    EXPECT_TRUE(refused([](auto& j) { j["gpu"] = "abacus"; }).starts_with("gpu: abacus: legal: "));
    EXPECT_TRUE(refused([](auto& j) { j["model"]["experts"] = 8; }).starts_with("experts: "));
    EXPECT_TRUE(refused([](auto& j) { j["seq"] = -1; }).starts_with("seq: "));
}

TEST(Rows, LinesThatAreNoRowsAreRefused) {
    auto const constants = read_constants(constants_file());
    for (std::string const line : {"{", "[]", "{}", R"({"id": 3})", R"({"id": "a,b"})"})
        EXPECT_THROW(parse_row("rows.jsonl", line, 3, constants), cluster::InputError) << line;
}

} // namespace
} // namespace trireme::test
