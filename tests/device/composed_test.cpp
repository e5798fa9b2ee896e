// The path of a GPU against the kernels, both on the CPU: each operation, then whole runs in many
// layouts.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>

#include "cluster/thread_communicator.hpp"
#include "framework/kernels/cross_entropy.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/ops.hpp"
#include "parallel/budgets.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::framework {
namespace {

using test::ComposedPath;

at::Tensor numbers(at::IntArrayRef shape, double phase) {
    std::int64_t count = 1;
    for (auto const n : shape) count *= n;
    return at::sin(at::arange(count, at::kDouble) * 0.73 + phase).view(shape).contiguous();
}
double* data(at::Tensor const& x) {
    return x.mutable_data_ptr<double>();
}
double difference(at::Tensor const& a, at::Tensor const& b) {
    return (a - b).abs().max().item<double>();
}

constexpr double kRounding = 1e-13;

TEST(Composed, DropoutMasksAreTheKernelsToTheBit) {
    auto const key = kernels::dropout_key(~std::uint64_t{0}, 3, 7, 0.3);
    // Samples and rows with all 32 and 64 bits in use: products and shifts of signed numbers must
    // not care.
    std::vector<std::int64_t> const high{0, 5, -1, std::int64_t{1} << 40, 0x7FFFFFFFFFFFFFFF};
    std::vector<std::int64_t> const row{0, 1, 0xFFFFFFFF, 0x80000000, 77};
    for (std::int64_t const count : {1, 4, 13, 64, 67}) {
        at::Tensor const factors = model::composed::dropout_factors(
            key, at::tensor(high), at::tensor(row), count, at::kDouble);
        for (std::size_t r = 0; r < high.size(); ++r) {
            std::vector<double> expected(static_cast<std::size_t>(count));
            kernels::dropout_factors(key, static_cast<std::uint64_t>(high[r]),
                                     static_cast<std::uint32_t>(row[r]), 0, count, expected.data());
            EXPECT_TRUE(
                factors[static_cast<std::int64_t>(r)].equal(at::tensor(expected, at::kDouble)))
                << "row " << r;
        }
    }
}

struct Attention {
    bool causal;
    std::int64_t window, first_head;
    double dropout, cap = 0;
};

TEST(Composed, Attention) {
    std::vector<std::int64_t> const offsets{0, 1, 40, 47}, samples{3, 9, -1};
    std::int64_t const t = 47, heads = 6, kv_heads = 2, size = 5;
    at::Tensor const q = numbers({t, heads * size}, 0), k = numbers({t, kv_heads * size}, 1),
                     v = numbers({t, kv_heads * size}, 2), dout = numbers({t, heads * size}, 3);
    for (auto const& a : {Attention{true, 0, 0, 0}, Attention{false, 0, 0, 0.2},
                          Attention{true, 4, 6, 0.2}, Attention{true, 100, 1, 0},
                          Attention{true, 4, 0, 0.2, 0.5}, Attention{false, 0, 0, 0, 1.5}}) {
        SCOPED_TRACE(a.window);
        kernels::AttentionProblem const p{offsets.data(),
                                          samples.data(),
                                          3,
                                          heads,
                                          kv_heads,
                                          size,
                                          a.causal,
                                          a.window,
                                          0.4,
                                          kernels::dropout_key(1, 2, 3, a.dropout),
                                          a.first_head,
                                          a.cap};
        at::Tensor const out = at::empty_like(q), lse = q.new_empty({t, heads}),
                         dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
        kernels::attention_forward(p, data(q), data(k), data(v), data(out), data(lse));
        kernels::attention_backward(p, data(q), data(k), data(v), data(out), data(lse), data(dout),
                                    data(dq), data(dk), data(dv));
        auto const [out2, lse2] = model::composed::attention(p, q, k, v);
        auto const g = model::composed::attention_backward(p, q, k, v, out2, lse2, dout);
        EXPECT_LT(difference(out, out2), kRounding);
        EXPECT_LT(difference(lse, lse2.t()), kRounding);
        EXPECT_LT(difference(dq, g.q), 10 * kRounding);
        EXPECT_LT(difference(dk, g.k), 10 * kRounding);
        EXPECT_LT(difference(dv, g.v), 10 * kRounding);
    }
}

/// Loss, prediction and gradient where the classes are divided over ranks; the last may have none.
TEST(Composed, CrossEntropyOverTensorRanks) {
    std::int64_t const n = 9, classes = 11;
    std::vector<std::int32_t> const labels{0, 10, -100, 4, 5, 7, -100, 3, 9};
    at::Tensor const logits = numbers({n, classes}, 4) * 3, gradient = logits.clone();
    std::vector<double> loss(9);
    std::vector<std::int32_t> best(9);
    kernels::cross_entropy(n, classes, data(gradient), labels.data(), true, 0.25, loss.data(),
                           best.data());
    for (auto const& cuts : {std::vector<std::int64_t>{0, 11}, {0, 4, 11}, {0, 6, 11, 11}}) {
        auto const ranks = static_cast<int>(cuts.size()) - 1;
        cluster::run_as_threads(ranks, [&](auto& world) {
            std::int64_t const first = cuts[static_cast<std::size_t>(world.rank())],
                               end = cuts[static_cast<std::size_t>(world.rank()) + 1];
            at::Tensor const part = logits.narrow(1, first, end - first).clone();
            auto const rows = model::composed::CrossEntropy(
                                  {part, first, at::tensor(labels, at::kLong), true, 0.25},
                                  ranks > 1 ? &world : nullptr)
                                  .finish();
            EXPECT_LT(difference(rows.loss, at::tensor(loss, at::kDouble)), kRounding);
            EXPECT_TRUE(rows.best.equal(at::tensor(best, at::kLong)));
            if (end > first) {
                EXPECT_LT(difference(part, gradient.narrow(1, first, end - first)), kRounding);
            }
        });
    }
}

/// Root mean square difference from the gradient in float64, as a part of that gradient, of a
/// head's weight in bf16.
double error_of_head(std::int64_t logits_at_one_time) {
    parallel::budgets.logits = logits_at_one_time;
    parallel::budgets.logits_on_gpu = 2 * logits_at_one_time; // bytes of bf16
    std::int64_t const rows = 512, width = 16, classes = 40;
    parallel::ParameterStore store({{.name = "head", .shape = {classes, width}, .unit = "head"}},
                                   {.compute = at::kBFloat16});
    auto& head = store.at("head");
    head.value().copy_(numbers({classes, width}, 0));
    at::Tensor const x = numbers({rows, width}, 1).to(at::kBFloat16).set_requires_grad(true);
    data::MicroBatch micro_batch;
    std::vector<std::int32_t> labels;
    for (std::int64_t t = 0; t < rows; ++t)
        labels.push_back(static_cast<std::int32_t>(t * t % classes));
    micro_batch.columns.append(data::kTokenLabels, 1, labels);
    micro_batch.tokens.assign(rows, 0);
    micro_batch.positions = micro_batch.segments = micro_batch.tokens;
    micro_batch.offsets = {0, rows};
    micro_batch.sample_ids = {0};
    model::Pass const pass =
        model::make_pass(micro_batch, true, 0, 0, 1.0 / static_cast<double>(rows));
    model::Results results;
    model::language_model_loss(x, parallel::ParameterUse(head), pass, results).backward();
    at::Tensor const w = head.value().to(at::kDouble).set_requires_grad(true);
    at::cross_entropy_loss(at::mm(x.detach().to(at::kDouble), w.t()),
                           pass.ids.columns.at(data::kTokenLabels.name))
        .backward();
    return ((head.gradient().to(at::kDouble) - w.grad()).norm() / w.grad().norm()).item<double>();
}

/// One product of bf16 is rounded once. Chunks of it are added in float32, so that many are no
/// worse than one.
TEST(Composed, TheGradientOfAHeadInBf16IsWithinOneRoundingWhateverItsChunks) {
    auto const logits = parallel::budgets.logits.load();
    for (bool const composed : {false, true}) {
        std::optional<ComposedPath> path;
        if (composed) path.emplace();
        double const whole = error_of_head(logits), chunks = error_of_head(80);
        fmt::print("head's gradient, relative error: whole {:.5f}, 256 chunks {:.5f}\n", whole,
                   chunks);
        EXPECT_LT(whole, 0x1p-8);
        EXPECT_LT(chunks, 0x1p-8);
        EXPECT_NE(chunks, whole);
    }
    parallel::budgets.logits = logits;
}

test::RunOptions in(parallelize::NumericsMode mode, parallelize::Compute compute,
                    parallelize::ParallelSection const& parallel, bool tied = false) {
    return {.mode = mode, .compute = compute, .steps = 6, .tied = tied, .parallel = parallel};
}

TEST(Composed, RunsAreThoseOfTheKernels) {
    struct Layout {
        int ranks;
        parallelize::ParallelSection parallel;
        bool tied;
    };
    for (auto const& [ranks, parallel, tied] :
         {Layout{1, {}, false}, Layout{1, {}, true},
          Layout{2, {.tensor = 2, .recompute = parallelize::Recompute::selective}, false},
          Layout{4, {.pipeline = 2, .tensor = 2}, true},
          Layout{2, {.zero = 3, .recompute = parallelize::Recompute::full}, false}}) {
        SCOPED_TRACE(test::describe(ranks, parallel));
        auto const options =
            in(parallelize::NumericsMode::fast, parallelize::Compute::fp64, parallel, tied);
        auto const kernels = test::train_as_threads(ranks, options);
        ComposedPath const path;
        auto const composed = test::train_as_threads(ranks, options);
        EXPECT_NE(composed.weights_sha256, kernels.weights_sha256) << "the other path did not run";
        for (std::size_t i = 0; i < kernels.losses.size(); ++i) {
            EXPECT_NEAR(composed.losses[i], kernels.losses[i], 1e-10);
            EXPECT_NEAR(composed.norms[i], kernels.norms[i], 1e-9);
        }
    }
}

/// A tiny model reaches no budget; with small ones it is the same run.
TEST(Composed, RunsAreTheSameWithSmallBudgets) {
    struct Layout {
        int ranks;
        parallelize::ParallelSection parallel;
    };
    for (auto const& [ranks, parallel] :
         {Layout{1, {.offload = parallelize::Offload::optimizer}}, Layout{2, {.zero = 2}},
          Layout{2, {.zero = 3, .offload = parallelize::Offload::optimizer}},
          Layout{4,
                 {.pipeline = 2,
                 .tensor = 2,
                 .zero = 1,
                 .schedule = parallel::ScheduleKind::interleaved,
                 .virtual_stages = 2}}}) {
        SCOPED_TRACE(test::describe(ranks, parallel));
        auto const options =
            in(parallelize::NumericsMode::fast, parallelize::Compute::fp64, parallel, true);
        auto const whole = test::train_as_threads(ranks, options);
        trireme::parallel::SmallBudgets const budgets;
        auto const parts = test::train_as_threads(ranks, options);
        EXPECT_NE(parts.weights_sha256, whole.weights_sha256) << "the logits were not cut";
        for (std::size_t i = 0; i < whole.losses.size(); ++i) {
            EXPECT_NEAR(parts.losses[i], whole.losses[i], 1e-11);
            EXPECT_NEAR(parts.norms[i], whole.norms[i], 1e-10);
        }
    }
}

TEST(Composed, BitwiseModeHoldsOverLayouts) {
    ComposedPath const path;
    for (auto const compute : {parallelize::Compute::fp32, parallelize::Compute::bf16}) {
        auto const one =
            test::train_as_threads(1, in(parallelize::NumericsMode::bitwise, compute, {}));
        for (auto const& parallel :
             {parallelize::ParallelSection{.zero = 0}, parallelize::ParallelSection{.zero = 2},
              parallelize::ParallelSection{.zero = 3, .recompute = parallelize::Recompute::full},
              parallelize::ParallelSection{.pipeline = 2,
              .schedule = parallel::ScheduleKind::zero_bubble},
              parallelize::ParallelSection{.pipeline = 2,
              .schedule = parallel::ScheduleKind::gpipe,
              .recompute = parallelize::Recompute::selective}})
            EXPECT_EQ(
                test::train_as_threads(2, in(parallelize::NumericsMode::bitwise, compute, parallel))
                    .weights_sha256,
                one.weights_sha256)
                << test::describe(2, parallel);
    }
}

} // namespace
} // namespace trireme::framework
