// Works out what a run would be without training: layout, steps, micro-batches, sizes. Local;
// writes nothing. No torch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/inputs/inputs.hpp"
#include "framework/inputs/train_set.hpp"
#include "parallel/mesh.hpp"

namespace trireme::parallel {
struct ParameterSpec;
struct StoreOptions;
} // namespace trireme::parallel

namespace trireme::framework::planning {

struct ModelPart {
    std::string name; ///< embeddings, layers (all of them), head, ...
    std::int64_t parameters = 0, units = 1;
};

/// Bytes that one rank holds for as long as it trains ([Note: who keeps what] in
/// parallel/parameter_store.hpp). Memory that comes and goes with a unit is not in it: gathered
/// weights under ZeRO-3, gradients of a micro-batch.
struct RankMemory {
    std::int64_t weights = 0;   ///< master, and the compute copy where there is one
    std::int64_t gradients = 0; ///< sum over the step
    std::int64_t optimizer = 0; ///< two moments
    std::int64_t total() const { return weights + gradients + optimizer; }
};

/// Least, mean and most over the steps looked at.
struct Spread {
    std::int64_t least = 0, most = 0;
    double mean = 0;
};

struct RunPreview {
    parallel::MeshShape mesh;
    int ranks = 1, data_ranks = 1;
    std::int64_t steps = 0;
    std::int64_t samples = 0, tokens = 0, longest = 0, validation_samples = 0; ///< of an epoch
    std::vector<inputs::SourceShare> sources;     ///< of a mixture, over all steps
    std::int64_t general_samples = 0, frozen = 0; ///< of guard.general_data; parameters
    /// steps that were counted, from the start of the order
    std::int64_t steps_looked_at = 0;
    Spread micro_batches, tokens_per_step;
    double idle = 0; ///< share of the ranks' places for micro-batches that stay empty
    std::vector<ModelPart> parts;
    run::DiskRoom room; ///< for checkpoints
    RankMemory memory;  ///< memory of a rank of the pipeline stage that holds most
};

/// Throws InputError with the equation for degrees of axes that `ranks` do not fit. Local.
void check_degrees(config::Config const& config, int ranks);

/// Opens data and config.json, resolves the mesh for `ranks`. Throws InputError as a run would.
RunPreview preview_run(config::Config const& config, int ranks);

/// Elements of all parameters of a model with its head.
std::int64_t parameters_of(model::Config const& model);

/// Memory of a ParameterStore of these parameters with moments; a test compares it with a real one.
/// `average`: with an average of the weights as well (optimizer.ema_decay).
RankMemory rank_memory(std::vector<parallel::ParameterSpec> const& specs,
                       parallel::StoreOptions const& options, bool average = false);

/// Puts the values that a run works out in the place of those that ask for it (replicate 0, threads
/// 0, steps 0, dropout -1), and notes "derived: ..." as their origin.
void derive_layout(config::ConfigWithOrigins& resolved, int ranks);
void derive_threads(config::ConfigWithOrigins& resolved, int cores_per_rank);
void derive_from_inputs(config::ConfigWithOrigins& resolved, inputs::Inputs const& inputs);

} // namespace trireme::framework::planning
