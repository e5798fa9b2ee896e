// The table in docs/collectives.md is what the dry run says, beside what the papers say. A failure
// prints the table to paste.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <sstream>

#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/planning/traffic.hpp"
#include "parallel/group_names.hpp"
#include "tests/parity/known_models.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using cluster::Collective;
using parallel::Axis;

constexpr std::int64_t kTokens = 4096;
constexpr int kMicroSteps = 4;

struct Shown {
    std::string name;
    int ranks;
    parallelize::ParallelSection parallel;
    parallelize::NumericsMode mode = parallelize::NumericsMode::fast;
};

std::vector<Shown> shown() {
    return {
        {"ZeRO 0, 8 ranks", 8, {}},
        {"ZeRO 1, 8 ranks", 8, {.zero = 1}},
        {"ZeRO 2, 8 ranks", 8, {.zero = 2}},
        {"ZeRO 3, 8 ranks", 8, {.zero = 3}},
        {"ZeRO 3, replicate 2 x shard 8", 16, {.shard = 8, .zero = 3}},
        {"ZeRO 0, 8 ranks, bitwise", 8, {}, parallelize::NumericsMode::bitwise},
        {"ZeRO 3, 8 ranks, bitwise", 8, {.zero = 3}, parallelize::NumericsMode::bitwise},
        {"tensor 8", 8, {.tensor = 8}},
        {"pipeline 8, 1f1b", 8, {.pipeline = 8}},
        {"pipeline 8, zero-bubble",
         8,
         {.pipeline = 8, .schedule = parallel::ScheduleKind::zero_bubble}},
        {"pipeline 4, interleaved x 4",
         4,
         {.pipeline = 4, .schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 4}},
        {"pipeline 4 x tensor 8", 32, {.pipeline = 4, .tensor = 8}},
        {"pipeline 4 x shard 16 x tensor 8, ZeRO 1", 512, {.pipeline = 4, .tensor = 8, .zero = 1}}};
}

/// Terms of the papers' formulas, for the rank that is shown.
struct Terms {
    Shown const& layout;
    parallel::MeshShape mesh;
    double psi = 0;    ///< parameters that this rank computes with, without padding
    double norms = 0;  ///< of them, those whole on every tensor rank
    double once = 0;   ///< of them, those of embeddings and head
    double layers = 0; ///< of this rank
    bool ends = false; ///< it has embedding and head: no pipeline

    double of(Axis axis) const { return mesh[axis]; }
    /// Bytes that a ring sends for n bytes.
    double ring(double n, Axis axis) const { return n * (of(axis) - 1) / of(axis); }
    double ring_of_data(double n) const {
        double const d = of(Axis::replicate) * of(Axis::shard);
        return n * (d - 1) / d;
    }
};

Terms terms_of(Shown const& layout, model::Config const& model) {
    Terms t{layout, parallelize::mesh_shape(layout.parallel, layout.ranks)};
    int const stages = t.mesh[Axis::pipeline], chunks = layout.parallel.virtual_stages;
    t.ends = stages == 1;
    t.layers = static_cast<double>(model.layers) / stages;
    for (auto const& spec :
         model::parameter_specs(model, {stages, std::min(1, stages - 1), chunks})) {
        parallel::Parameter const parameter(spec, t.mesh[Axis::tensor], 0);
        t.psi += static_cast<double>(parameter.numel());
        if (spec.partial) t.norms += static_cast<double>(parameter.numel());
        if (model::layer_of(spec.unit) < 0) t.once += static_cast<double>(parameter.numel());
    }
    return t;
}

struct Formula {
    std::string text;
    double bytes;
};

/// Gradients and sums are float32, weights and activations bfloat16.
std::optional<Formula> formula_of_data(Terms const& t, std::string const& group, Collective op) {
    int const zero = t.layout.parallel.zero;
    double const each = zero >= 2 ? kMicroSteps : 1;
    if (group == parallel::kData && op == Collective::all_reduce)
        return Formula{"2 · 4ψ (d-1)/d", 2 * t.ring_of_data(4 * t.psi)};
    if (group == parallel::kData && op == Collective::all_to_all)
        return Formula{"m · 4ψ (d-1)/d", kMicroSteps * t.ring_of_data(4 * t.psi)};
    if (group == parallel::kData && op == Collective::all_gather)
        return Formula{"4ψ (d-1)/d", t.ring_of_data(4 * t.psi)};
    if (group == "replicate" && op == Collective::all_reduce)
        return Formula{"2 · 4ψ/s (r-1)/r",
                       2 * t.ring(4 * t.psi / t.of(Axis::shard), Axis::replicate)};
    if (group != "shard") return std::nullopt;
    if (op == Collective::reduce_scatter)
        return Formula{zero >= 2 ? "m · 4ψ (s-1)/s" : "4ψ (s-1)/s",
                       each * t.ring(4 * t.psi, Axis::shard)};
    if (op == Collective::all_gather && zero == 3)
        return Formula{"m · (2 · 2ψ - 2e) (s-1)/s",
                       kMicroSteps * t.ring(2 * (2 * t.psi - t.once), Axis::shard)};
    if (op == Collective::all_gather) return Formula{"2ψ (s-1)/s", t.ring(2 * t.psi, Axis::shard)};
    return std::nullopt;
}

std::optional<Formula> formula(Terms const& t, model::Config const& model, std::string const& group,
                               Collective op) {
    double const boundary = 2.0 * kTokens * static_cast<double>(model.hidden); // bytes of [T, D]
    if (group == "tensor" && (op == Collective::all_gather || op == Collective::reduce_scatter))
        return Formula{t.ends ? "m (4 l + 2) · 2TD (t-1)/t" : "m · 4 l · 2TD (t-1)/t",
                       kMicroSteps * (4 * t.layers + (t.ends ? 2 : 0)) *
                           t.ring(boundary, Axis::tensor)};
    if (group == "tensor" && op == Collective::all_reduce)
        return Formula{"m · 2 · 28T (t-1)/t",
                       kMicroSteps * 2 * t.ring(28.0 * kTokens, Axis::tensor)};
    if (parallel::sharers_of(group) && t.layout.parallel.zero == 0)
        return Formula{"4n (t-1)", 4 * t.norms * (t.of(Axis::tensor) - 1)};
    if (parallel::sharers_of(group)) return Formula{"4n (t-1) on the rank that keeps them", 0};
    if (parallel::is_of(parallel::kActivations, group) ||
        parallel::is_of(parallel::kActivationGradients, group))
        return Formula{"m v · 2TD/t",
                       static_cast<double>(kMicroSteps * t.layout.parallel.virtual_stages) *
                           boundary / t.of(Axis::tensor)};
    return formula_of_data(t, group, op);
}

/// The rank shown: in the middle of a pipeline, first on the other axes.
int shown_rank(parallel::MeshShape const& mesh) {
    return mesh.rank_at({std::min(1, mesh[Axis::pipeline] - 1), 0, 0, 0, 0});
}

std::string rows(Shown const& layout, model::Config const& model) {
    Terms const terms = terms_of(layout, model);
    int const samples = terms.mesh[Axis::replicate] * terms.mesh[Axis::shard] * kMicroSteps;
    planning::StepDescription const step{
        .mesh = terms.mesh,
        .section = layout.parallel,
        .numerics = {layout.mode, parallelize::Compute::bf16},
        .tokens_per_micro_batch = kTokens,
        .lengths = std::vector<std::int64_t>(static_cast<std::size_t>(samples), kTokens)};
    std::string text;
    for (auto const& [key, tally] : planning::predict(model, step, shown_rank(terms.mesh))) {
        if (tally.bytes == 0) continue;
        auto const expected = formula(terms, model, key.first, key.second);
        if (!expected) {
            ADD_FAILURE() << layout.name << ": no formula for " << key.first << " "
                          << name_of(key.second);
            continue;
        }
        double const sent = static_cast<double>(tally.bytes);
        if (expected->bytes > 0) {
            EXPECT_NEAR(sent / expected->bytes, 1, 0.01) << layout.name << " " << key.first;
        }
        text +=
            fmt::format("| {} | {} | {} | {} | {:.3f} | {} | {} |\n", layout.name, key.first,
                        name_of(key.second), tally.calls, sent / 1e6, expected->text,
                        expected->bytes > 0 ? fmt::format("{:.3f}", expected->bytes / 1e6) : "-");
    }
    return text;
}

TEST(CollectivesDocument, ShowsWhatTheDryRunSays) {
    std::ifstream file(TRIREME_DOCS "/collectives.md");
    std::stringstream document;
    document << file.rdbuf();
    std::string table;
    for (auto const& layout : shown()) table += rows(layout, llama_3_8b());
    EXPECT_NE(document.str().find("\n" + table + "\n"), std::string::npos) << "missing table:\n"
                                                                           << table;
}

} // namespace
} // namespace trireme::test
