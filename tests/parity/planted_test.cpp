// Every planted mistake must make `trireme parity` fail and name parameter and cause; without one,
// nothing may.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "framework/parity/check.hpp"
#include "tests/parity/golden_problem.hpp"
#include "tests/support/planted_bug.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;
using framework::config::Compute;
using framework::config::NumericsMode;
using parallel::planted::Bug;

struct Plant {
    Bug bug;
    char const* what;
    char const* folder; ///< of tests/golden
    char const* cause;  ///< id that the diagnosis must put first
    char const*
        parameter; ///< part of the name it must put first; "" where the mistake is in no parameter
    framework::config::NumericsMode mode = framework::config::NumericsMode::fast;
    bool everywhere = false; ///< also on one rank
};

/// A mistake is planted in the family where it can be.
std::vector<Plant> plants() {
    return {
        {Bug::loss_over_tensor, "loss over tensor size", "llama", "loss-scale", ""},
        {Bug::loss_over_tensor, "loss over tensor size", "bert", "loss-scale", ""},
        {Bug::norm_counts_replicas, "norm counts replicas", "llama", "norm-counts-copies", ""},
        {Bug::norm_counts_replicas, "norm counts replicas", "gpt2", "norm-counts-copies", ""},
        {Bug::tied_across_stages, "tied gradient, two stages", "gpt2", "tied-missing", "wte"},
        {Bug::tied_within_stage, "tied gradient, one stage", "llama-tied-biased", "tied-missing",
         "embed_tokens"},
        {Bug::norms_not_summed, "norms not reduced", "llama", "stretches-not-summed", "norm"},
        {Bug::norms_not_summed, "norms not reduced", "bert", "stretches-not-summed", ""},
        {Bug::key_heads_not_summed, "key heads not summed", "llama", "key-heads-not-summed",
         "self_attn."},
        {Bug::dropout_by_rank, "dropout keyed by rank", "bert", "dropout-by-rank", ""},
        {Bug::dropout_by_rank, "dropout keyed by rank", "llama", "dropout-by-rank", ""},
        {Bug::padding_counted, "vocabulary padding", "llama", "padding-counted", "lm_head"},
        {Bug::padding_counted, "vocabulary padding", "gpt2", "padding-counted", "wte"},
        {Bug::means_averaged, "means averaged", "gpt2", "means-averaged", "",
         framework::config::NumericsMode::fast, true},
        {Bug::means_averaged, "means averaged", "bert", "means-averaged", "",
         framework::config::NumericsMode::fast, true},
        {Bug::last_micro_batch_dropped, "last micro-batch dropped", "llama", "micro-batch-missing",
         ""},
        {Bug::last_micro_batch_dropped, "last micro-batch dropped", "bert", "micro-batch-missing",
         ""},
        {Bug::stale_gather, "stale ZeRO-3 gather", "gpt2", "stale-weights", ""},
        {Bug::bias_on_every_rank, "bias on every rank", "bert", "bias-on-every-rank", "dense.bias"},
        {Bug::bias_on_every_rank, "bias on every rank", "gpt2", "bias-on-every-rank",
         "c_proj.bias"},
        {Bug::micro_batch_order, "micro-batches backwards", "llama", "order-of-sums", "",
         framework::config::NumericsMode::bitwise},
        {Bug::sequence_offset, "stretch off by one", "gpt2", "sequence-offset", "wpe"},
        {Bug::sequence_offset, "stretch off by one", "bert", "sequence-offset",
         "position_embeddings"},
        {Bug::moments_lost, "moments lost", "llama", "optimizer-state", ""},
        {Bug::recompute_mask, "mask of recomputation", "llama", "dropout-recomputed", ""},
        {Bug::recompute_mask, "mask of recomputation", "gpt2", "dropout-recomputed", ""},
        {Bug::clip_by_own_norm, "clipped by own norm", "llama", "clip", ""},
        {Bug::clip_by_own_norm, "clipped by own norm", "bert", "clip", ""},
        {Bug::replicas_not_summed, "replicas not summed", "llama", "ranks-not-summed", ""},
        {Bug::replicas_not_summed, "replicas not summed", "bert", "ranks-not-summed", ""},
        {Bug::table_edge, "edge of the token table", "gpt2", "samples", "wte"},
        {Bug::table_edge, "edge of the token table", "bert", "samples", "word_embeddings"},
        {Bug::padding_trained, "padding token trained", "bert", "one-gradient", "word_embeddings"},
        {Bug::sequence_averaged, "sequence averaged", "llama", "backward", "model.norm"},
        {Bug::sequence_averaged, "sequence averaged", "bert", "backward", "layer.3"},
        {Bug::stale_tied_copy, "stale tied copy", "gpt2", "stale-weights", "wte"},
        {Bug::scale_by_tensor, "attention's scale", "llama", "forward", "q_proj"},
        {Bug::scale_by_tensor, "attention's scale", "bert", "forward", "query"},
        {Bug::copies_halved, "copies summed by half", "llama", "copies-sum", ""},
        {Bug::copies_halved, "copies summed by half", "gpt2", "copies-sum", ""},
        {Bug::losses_averaged, "logged loss averaged", "gpt2", "loss-value", ""},
        {Bug::decay_of_flat, "norms and biases decay", "llama", "decay", "norm"},
        {Bug::decay_of_flat, "norms and biases decay", "bert", "decay", ""},
    };
}

/// At 1, 2 and 4 ranks, as many as show each mistake at least three times.
std::vector<Layout> few_layouts(std::string const& folder) {
    std::vector<Layout> chosen;
    auto const all = golden_layouts(folder, 4);
    for (auto const& [ranks, most] : {std::pair{1, 4}, {2, 8}, {4, 16}}) {
        auto const some = covering_of_world(all, ranks);
        chosen.insert(chosen.end(), some.begin(),
                      some.begin() + std::min<std::ptrdiff_t>(most, std::ssize(some)));
    }
    return chosen;
}

/// Every pair of choices at up to 4 ranks.
std::vector<Layout> more_layouts(std::string const& folder) {
    return covering(golden_layouts(folder, 4));
}

struct Outcome {
    std::size_t failing = 0, layouts = 0;
    Cause cause;
    std::string message;
};

Outcome run_planted(Plant const& plant, std::vector<Layout> const& layouts) {
    PlantedBug const planted(plant.bug);
    auto const problem = golden_problem(plant.folder, plant.mode, framework::config::Compute::fp32);
    auto const report = check(problem, layouts, run_as_threads());
    Outcome outcome{0, layouts.size(), {}, {}};
    for (auto const& l : report.layouts) outcome.failing += !l.outcome.passed;
    if (!report.diagnosis) return outcome;
    outcome.cause = report.diagnosis->causes[0];
    outcome.message = report.diagnosis->message();
    return outcome;
}

bool is_right(Plant const& plant, Outcome const& outcome) {
    std::string const first = outcome.cause.parameters.empty() ? "" : outcome.cause.parameters[0];
    return outcome.cause.id == plant.cause && first.find(plant.parameter) != first.npos;
}

/// Plants one after the other, in random order, and prints what came of each.
void find_all(std::vector<Plant> all,
              std::vector<Layout> (*layouts_of)(std::string const& folder)) {
    std::shuffle(all.begin(), all.end(), std::mt19937(20));
    std::string table =
        fmt::format("{:<26} {:<18} {:>9}  {:<22}\n", "planted", "model", "failing", "named");
    for (auto const& plant : all) {
        Outcome const outcome = run_planted(plant, layouts_of(plant.folder));
        bool const right = is_right(plant, outcome);
        table += fmt::format("{:<26} {:<18} {:>3} of {:>2}  {:<22} {}\n", plant.what, plant.folder,
                             outcome.failing, outcome.layouts, outcome.cause.id,
                             right ? "right" : "WRONG");
        EXPECT_GE(outcome.failing, 3U) << plant.what << ", " << plant.folder;
        EXPECT_TRUE(plant.everywhere || outcome.failing < outcome.layouts)
            << plant.what << ": layouts that it cannot touch pass";
        EXPECT_TRUE(right) << plant.what << ", " << plant.folder << "\n" << outcome.message;
        fmt::print("{}: {}\n", plant.what, outcome.message);
        std::fflush(stdout);
    }
    fmt::print("{}", table);
}

TEST(Planted, EveryMistakeIsFoundAndNamed) {
    std::vector<Plant> once;
    for (auto const& plant : plants())
        if (once.empty() || once.back().bug != plant.bug) once.push_back(plant);
    EXPECT_EQ(once.size(), 26U);
    find_all(once, few_layouts);
}

TEST(PlantedLong, EveryMistakeInMoreFamiliesAndLayouts) {
    find_all(plants(), more_layouts);
}

} // namespace
} // namespace trireme::test
