// `trireme parity` on code without mistakes, and its parts.
#include "framework/parity/check.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/parity/certificate.hpp"
#include "tests/parity/golden_problem.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;
using framework::parallelize::Compute;
using framework::parallelize::NumericsMode;

Report run_check(Problem const& problem, std::vector<Layout> const& layouts) {
    return check(problem, layouts, run_as_threads());
}

/// A dozen layouts of up to 8 ranks, one of them with every axis and ZeRO 3.
std::vector<Layout> a_dozen(std::string const& folder) {
    std::vector<Layout> chosen{{{.replicate = 1, .shard = 1}, 12}};
    auto const all = golden_layouts(folder, 8);
    for (int const ranks : {2, 4, 8}) {
        auto const some = covering_of_world(all, ranks);
        for (std::size_t i = 0; i < 4; ++i) chosen.push_back(some[i]);
    }
    return chosen;
}

class Clean
    : public testing::TestWithParam<std::tuple<char const*, framework::parallelize::NumericsMode,
                                               framework::parallelize::Compute>> {};

TEST_P(Clean, EveryLayoutPasses) {
    auto const [folder, mode, compute] = GetParam();
    auto const report = run_check(golden_problem(folder, mode, compute), a_dozen(folder));
    EXPECT_TRUE(report.passed()) << summary_of(report);
    for (auto const& l : report.layouts) EXPECT_TRUE(l.outcome.passed) << line_of(l);
}
INSTANTIATE_TEST_SUITE_P(
    Families, Clean,
    testing::Values(std::tuple("bert", framework::parallelize::NumericsMode::fast,
                               framework::parallelize::Compute::fp64),
                    std::tuple("gpt2", framework::parallelize::NumericsMode::bitwise,
                               framework::parallelize::Compute::fp32),
                    std::tuple("llama", framework::parallelize::NumericsMode::fast,
                               framework::parallelize::Compute::fp32),
                    std::tuple("qwen2", framework::parallelize::NumericsMode::fast,
                               framework::parallelize::Compute::fp32),
                    std::tuple("qwen3", framework::parallelize::NumericsMode::bitwise,
                               framework::parallelize::Compute::fp64),
                    std::tuple("qwen2", framework::parallelize::NumericsMode::fast,
                               framework::parallelize::Compute::bf16),
                    std::tuple("mistral", framework::parallelize::NumericsMode::fast,
                               framework::parallelize::Compute::bf16)));

/// Llama has a head of its own, GPT-2 shares the embeddings' table, whose rate is then the lowest.
TEST(LayerDecay, EveryLayoutHasTheRatesOfTheWholeModel) {
    for (char const* folder : {"llama", "gpt2"}) {
        auto config = golden_config(folder);
        config.numerics = {.mode = NumericsMode::bitwise, .compute = Compute::fp64};
        config.optimizer.layer_decay = 0.7;
        std::vector<Layout> const layouts{
            {{.replicate = 1, .shard = 1}, 12},
            {{.replicate = 1, .shard = 2, .zero = 3}, 12},
            {{.pipeline = 2,
              .replicate = 1,
              .shard = 1,
              .schedule = parallel::ScheduleKind::zero_bubble},
             12},
            {{.pipeline = 2, .tensor = 2, .replicate = 1, .shard = 1, .zero = 1}, 40}};
        auto const report = run_check(golden_problem(config), layouts);
        EXPECT_TRUE(report.passed()) << summary_of(report);
        for (auto const& l : report.layouts) EXPECT_TRUE(l.outcome.passed) << line_of(l);
    }
}

TEST(Layouts, EveryAxisAtOnceInEachZeroStage) {
    for (char const* folder : {"llama", "gpt2", "qwen3", "bert"}) {
        auto const problem = golden_problem(folder, framework::parallelize::NumericsMode::bitwise,
                                            framework::parallelize::Compute::fp32);
        auto const layouts = of_every_axis(problem.model, packings());
        ASSERT_EQ(layouts.size(), 4U);
        for (int zero = 0; zero <= 3; ++zero) {
            auto const& l = layouts[static_cast<std::size_t>(zero)];
            EXPECT_EQ(l.ranks(), 16);
            EXPECT_EQ(l.parallel.zero, zero);
        }
        auto const report = run_check(problem, layouts);
        EXPECT_TRUE(report.passed()) << summary_of(report);
    }
}

TEST(Pattern, NamesTheFeatureThatFailingLayoutsShare) {
    std::vector<LayoutOutcome> outcomes;
    for (auto const& l : covering(golden_layouts("llama", 4)))
        outcomes.push_back({l, l.parallel.tensor == 1 || l.parallel.pipeline == 1});
    EXPECT_NE(pattern_of(outcomes).find("with tensor > 1 and pipeline > 1, none of the"),
              std::string::npos)
        << pattern_of(outcomes);
}

TEST(Pattern, DropsWhatAllLayoutsHaveAndNamesTheNarrowest) {
    std::vector<LayoutOutcome> outcomes;
    for (auto const& l : covering_of_world(golden_layouts("llama", 4), 4))
        outcomes.push_back({l, l.parallel.recompute != framework::parallelize::Recompute::full ||
                                   l.parallel.pipeline == 1});
    std::string const conjunction = pattern_of(outcomes);
    EXPECT_NE(conjunction.find("with pipeline > 1 and recompute full, none of the"),
              std::string::npos)
        << conjunction;
    EXPECT_EQ(conjunction.find("more than one rank"), std::string::npos) << conjunction;
    for (auto& v : outcomes) v.passed = v.layout.parallel.pipeline != 4;
    EXPECT_NE(pattern_of(outcomes).find("with pipeline 4, none of the"), std::string::npos)
        << pattern_of(outcomes);
    for (auto& v : outcomes)
        v.passed = v.layout.parallel.recompute == framework::parallelize::Recompute::none ||
                   v.layout.parallel.pipeline * v.layout.parallel.tensor == 1;
    EXPECT_NE(pattern_of(outcomes).find("that pass have recompute none, which none that fails has"),
              std::string::npos)
        << pattern_of(outcomes);
}

/// Diagnoses a layout whose trace `spoil` has changed before it is examined.
Diagnosis diagnosis_of(Layout const& layout,
                       std::function<void(Problem const&, Layout const&, Trace&)> const& spoil) {
    auto const problem = golden_problem("llama", framework::parallelize::NumericsMode::fast,
                                        framework::parallelize::Compute::fp32);
    auto const report = check(problem, {layout}, [&](Problem const& p, Layout const& l) {
        Trace trace = run_as_threads()(p, l);
        spoil(p, l, trace);
        return trace;
    });
    return report.diagnosis.value();
}

/// Gradients that are each wrong in one element: micro-batches with weights of 1 explain nothing.
TEST(Diagnosis, RefusesAnExplanationThatSaysNothingIsWrong) {
    auto const found = diagnosis_of({{.replicate = 2, .shard = 1}, 12},
                                    [](auto const&, auto const&, Trace& trace) {
                                        for (auto& [name, g] : trace.gradient)
                                            g.view({-1})[0] += 3e-4 * g.norm();
                                    });
    EXPECT_NE(found.causes[0].id, "loss-scale") << found.message();
    EXPECT_NE(found.causes[0].id, "micro-batch-weights") << found.message();
}

TEST(Diagnosis, NamesTheFeatureWithoutWhichALayoutAgrees) {
    struct Row {
        Layout layout;
        bool forward;
        char const* cause;
    };
    for (Row const& row :
         {Row{{{.pipeline = 2, .replicate = 1, .shard = 1}, 12}, true, "stage-boundary"},
          Row{{{.pipeline = 2, .replicate = 1, .shard = 1}, 12}, false, "stage-boundary"},
          Row{{{.replicate = 1, .shard = 2, .zero = 3}, 12}, true, "gather"},
          Row{{{.replicate = 1, .shard = 2, .zero = 2}, 12}, false, "shards"},
          Row{{{.replicate = 2, .shard = 1, .recompute = framework::parallelize::Recompute::full},
               12},
              false,
              "recomputation"}}) {
        auto const found =
            diagnosis_of(row.layout, [&](auto const&, Layout const& l, Trace& trace) {
                if (name_of(l) != name_of(row.layout)) return;
                if (row.forward) trace.losses[0] *= 1.01;
                for (auto& [name, g] : trace.gradient)
                    if (name.find("layers.0.") != name.npos || name.find("embed") != name.npos)
                        g = g + 0.3 * g.roll(1);
            });
        EXPECT_EQ(found.causes[0].id, row.cause) << found.message();
    }
}

TEST(Diagnosis, BlamesDropoutOfRecomputationOnlyWhereThereIsSome) {
    using framework::parallelize::Recompute;
    for (auto const recompute : {Recompute::none, Recompute::full}) {
        Layout const layout{{.replicate = 2, .shard = 1, .recompute = recompute}, 12};
        auto const found = diagnosis_of(layout, [](Problem const& p, auto const&, Trace& trace) {
            if (p.model.hidden_dropout > 0)
                for (auto& [name, g] : trace.gradient) g = g + 0.3 * g.roll(1);
        });
        std::string const id =
            recompute == Recompute::none ? "dropout-backward" : "dropout-recomputed";
        EXPECT_EQ(found.causes[0].id, id) << found.message();
    }
}

/// Weights of a later step that are wrong while the moments are right, scaled, and lost.
TEST(Diagnosis, TellsAWrongScaleFromLostMoments) {
    for (auto const& [factor, cause] :
         {std::pair{1.0, "later-update"}, {1.1, "moment-scale"}, {0.0, "optimizer-state"}}) {
        Layout const layout{{.replicate = 2, .shard = 1}, 12};
        auto const found = diagnosis_of(layout, [&](auto const&, auto const&, Trace& trace) {
            for (auto& [name, w] : trace.weights) w = w + 1e-3;
            for (auto& [name, m] : trace.moments) m = factor > 0 ? m * factor : m.roll(1);
        });
        EXPECT_EQ(found.causes[0].id, cause) << found.message();
    }
}

TEST(Tiny, KeepsTheShapeClass) {
    for (char const* folder :
         {"bert", "gpt2", "llama", "llama-tied-biased", "llama3", "mistral", "qwen2", "qwen3"}) {
        auto const full = read_full_model(golden_config(folder));
        EXPECT_EQ(shape_class(tiny_model(full)), shape_class(full));
    }
}

TEST(Certificate, IsTakenIntoARunOfItsOwnShapeAlone) {
    TemporaryFolder const folder;
    auto config = golden_config("llama");
    config.run = folder.path() + "/run";
    auto const problem = golden_problem(config);
    auto const report = run_check(problem, {{{.replicate = 1, .shard = 1}, 12}});
    std::string const file = folder.path() + "/certificate.json";
    cluster::write_file(file, to_json(report, config, "test").dump());
    attach_certificate(file, config);
    EXPECT_NE(cluster::read_file(config.run + "/parity.json").find("\"passed\""),
              std::string::npos);
    EXPECT_THROW(attach_certificate(file, golden_config("gpt2")), cluster::InputError);
    config.numerics.compute = framework::parallelize::Compute::bf16;
    EXPECT_THROW(attach_certificate(file, config), cluster::InputError);
}

/// A bf16 certificate is one of float32 as well.
TEST(Certificate, OfBf16WithoutFloat32IsRefused) {
    TemporaryFolder const folder;
    auto config = golden_config("llama");
    config.run = folder.path() + "/run";
    config.numerics.compute = framework::parallelize::Compute::bf16;
    auto const report = run_check(golden_problem(config), {{{.replicate = 2, .shard = 1}, 12}});
    auto json = to_json(report, config, "test");
    EXPECT_LT(json["layouts"][0]["float32"]["worst_share_of_bound"], 1.0);
    std::string const file = folder.path() + "/certificate.json";
    cluster::write_file(file, json.dump());
    attach_certificate(file, config);
    json.erase("float32");
    cluster::write_file(file, json.dump());
    EXPECT_THROW(attach_certificate(file, config), cluster::InputError);
}

/// Mistakes of 2 % that are made in bfloat16 alone, in a layout without tensor ranks: the bound on
/// a rounding is wider.
TEST(Bf16, AMistakeOfTwoPercentFailsWithoutTensorRanks) {
    auto const scaled = [](std::string const& part) {
        return [part](Trace& t) {
            for (auto& [name, g] : t.gradient)
                if (name.find(part) != name.npos) g = g * 1.02;
        };
    };
    std::map<std::string, std::function<void(Trace&)>> const mistakes{
        {"key gradients", scaled("k_proj")},
        {"a block's gradients", scaled("layers.1.")},
        {"all gradients", scaled("")},
        {"the norm", [](Trace& t) { t.norms[0] *= 1.02; }},
        {"the loss", [](Trace& t) { t.losses[0] *= 1.02; }},
        {"the clip", [](Trace& t) {
             for (auto& [name, m] : t.first_moments) m = m * 1.02;
         }}};
    auto const problem = golden_problem("llama", framework::parallelize::NumericsMode::fast,
                                        framework::parallelize::Compute::bf16);
    for (auto const& [what, spoil] : mistakes) {
        auto const report =
            check(problem, {{{.pipeline = 2, .replicate = 1, .shard = 1}, 12}},
                  [&](Problem const& p, Layout const& l) {
                      Trace trace = run_as_threads()(p, l);
                      if (p.numerics.compute == framework::parallelize::Compute::bf16) spoil(trace);
                      return trace;
                  });
        ASSERT_FALSE(report.passed()) << what;
        EXPECT_EQ(report.diagnosis->causes[0].id, "bf16-alone") << what;
    }
}

/// With tensor ranks, whose partial sums are rounded, the float32 run sees what bfloat16 cannot.
TEST(Bf16, AMistakeOfTwoPercentInBothTypesFailsWithTensorRanks) {
    auto const problem = golden_problem("llama3", framework::parallelize::NumericsMode::fast,
                                        framework::parallelize::Compute::bf16);
    auto const report = check(problem, {{{.tensor = 2, .replicate = 1, .shard = 1}, 12}},
                              [&](Problem const& p, Layout const& l) {
                                  Trace trace = run_as_threads()(p, l);
                                  for (auto& [name, g] : trace.gradient)
                                      if (name.find("k_proj") != name.npos) g = g * 1.02;
                                  return trace;
                              });
    EXPECT_FALSE(report.passed());
}

} // namespace
} // namespace trireme::test
