// Tests that every rank of every layout sends in a step what the dry run says, and what the papers
// say.
#include <gtest/gtest.h>

#include <numeric>

#include "cluster/thread_communicator.hpp"
#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "tests/parity/known_models.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/parity/traffic_step.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using cluster::Collective;

void expect_as_predicted(CountedStep const& step) {
    std::vector<planning::Traffic> counted(static_cast<std::size_t>(step.layout.ranks));
    cluster::run_as_threads(step.layout.ranks,
                            [&](auto& world) {
                                counted[static_cast<std::size_t>(world.rank())] =
                                    count_step(world, step);
                            },
                            {.observer = counter_by_thread()});
    for (int rank = 0; rank < step.layout.ranks; ++rank)
        EXPECT_EQ(planning::to_text(counted[static_cast<std::size_t>(rank)]),
                  planning::to_text(predict_step(step, rank)))
            << "rank " << rank << " of " << describe(step.layout.ranks, step.layout.parallel)
            << ", tied " << step.tied << ", "
            << (step.numerics.mode == parallelize::NumericsMode::fast ? "fast" : "bitwise");
}

TEST(Traffic, CountedIsPredictedInFastMode) {
    for (auto const& layout : layouts_to_count())
        for (bool const tied : {false, true})
            expect_as_predicted({layout, {parallelize::NumericsMode::fast}, tied});
}

TEST(Traffic, CountedIsPredictedInBitwiseMode) {
    for (auto const& layout : layouts_to_count())
        expect_as_predicted({layout, {parallelize::NumericsMode::bitwise}, true});
}

TEST(Traffic, CountedIsPredictedInBfloat16) {
    for (auto const& layout : layouts_to_count())
        if (layout.ranks <= 4)
            expect_as_predicted(
                {layout, {parallelize::NumericsMode::fast, parallelize::Compute::bf16}, false});
}

TEST(Traffic, CountedIsPredictedOnAGpusPath) {
    ComposedPath const path;
    for (auto const& layout : layouts_to_count())
        if (layout.parallel.tensor > 1) expect_as_predicted({layout, {}, true});
}

/// Elements of a rank's flat buffers with their padding, and parameters without.
struct Psi {
    std::int64_t padded = 0, real = 0;
    std::int64_t ends = 0; ///< of the padded, those of embeddings and head
};
Psi psi_of(model::Config const& model, int data_ranks) {
    Psi psi;
    std::map<std::string, std::vector<std::int64_t>> units;
    for (auto const& spec : model::parameter_specs(model)) {
        std::int64_t const n = std::accumulate(spec.shape.begin(), spec.shape.end(),
                                               std::int64_t{1}, std::multiplies<>());
        units[spec.unit].push_back(n);
        psi.real += n;
    }
    for (auto const& [name, counts] : units) {
        std::int64_t const padded = parallel::lay_out(counts, data_ranks).total;
        psi.padded += padded;
        if (model::layer_of(name) < 0) psi.ends += padded;
    }
    return psi;
}

/// Rajbhandari et al., "ZeRO", 2020, section 7: stages 1 and 2 communicate 2 psi, as plain data
/// parallelism does, and stage 3 communicates 3 psi, but for what is gathered once: embeddings,
/// whose backward pass reads no weight, and the head, whose backward pass comes at once. A ring
/// sends (d - 1) / d of that.
TEST(Traffic, OneMicroStepMovesTwoPsiAndThreePsi) {
    model::Config const model = llama_3_8b();
    for (int const d : {2, 4, 8, 64}) {
        Psi const psi = psi_of(model, d);
        EXPECT_LT(static_cast<double>(psi.padded) / static_cast<double>(psi.real), 1.002);
        for (int zero = 0; zero <= 3; ++zero) {
            parallelize::ParallelSection const section{.zero = zero};
            planning::StepDescription const step{
                .mesh = parallelize::mesh_shape(section, d),
                .section = section,
                .numerics = {parallelize::NumericsMode::fast, parallelize::Compute::fp32},
                .tokens_per_micro_batch = 16,
                .lengths = std::vector<std::int64_t>(static_cast<std::size_t>(d), 16)};
            std::int64_t bytes = 0;
            for (auto const& [key, tally] : planning::predict(model, step, d - 1))
                bytes += tally.bytes;
            std::int64_t const sent = zero == 3 ? 3 * psi.padded - psi.ends : 2 * psi.padded;
            // Before its sum ZeRO 0 agrees on the rows of the token table, a byte for each.
            std::int64_t const marks = zero == 0 ? 2 * model.vocabulary / d * (d - 1) : 0;
            EXPECT_EQ(bytes, sent / d * (d - 1) * 4 + marks) << "zero " << zero << " on " << d;
        }
    }
}

} // namespace
} // namespace trireme::test
