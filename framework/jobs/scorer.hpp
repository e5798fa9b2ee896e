// A whole model with its weights on a mesh over all ranks, which computes what jobs ask of it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/evaluation/evaluator.hpp"
#include "framework/evaluation/fills.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/parallelize/compute_device.hpp"

namespace trireme::framework::jobs {

struct EvaluationJob;

/// Sets the arithmetic of a score, which is quoted: the same bits on any number of ranks and
/// threads. Collective. Throws InputError.
void configure_scores(EvaluationJob const& job, cluster::Communicator& world);
/// Returns the configuration of a job that scores a task, as its --set says. Throws InputError
/// naming `command`. Local.
config::Config read_settings(std::string const& command, EvaluationJob const& job,
                             std::string const& task);

class Scorer {
  public:
    /// `config` and `model` must outlive it. `legal` says which folders have the weights of the
    /// head; empty: any has, as the head is not asked. Collective over `world`. Throws InputError.
    Scorer(config::Config const& config, model::Config const& model, cluster::Communicator& world,
           std::string const& legal);

    /// Computes what Evaluator::outcome says; `progress` hears on rank 0. Collective.
    evaluation::Outcome outcome(data::Dataset const& set, std::int64_t tokens,
                                evaluation::Pooling pooling = evaluation::Pooling::mean,
                                evaluation::Progress const& progress = {});
    /// Returns the `count` likeliest tokens at each label of `set`, by sample and place, on every
    /// rank. Collective.
    std::vector<evaluation::Fill> fills(data::Dataset const& set, std::int64_t tokens,
                                        std::int64_t count);
    /// Returns the means of the last hidden states over the tokens of each of `samples`, [n, D], in
    /// their order, on every rank. `progress` hears on rank 0. Collective.
    std::vector<double> embeddings(data::Dataset const& set,
                                   std::vector<std::int64_t> const& samples, std::int64_t tokens,
                                   evaluation::Progress const& progress = {});

  private:
    std::int64_t token_multiple() const { return mesh_.along(parallel::Axis::tensor).size(); }
    /// Gives every rank what the data ranks of the last stage have found. Collective.
    std::vector<evaluation::Fill> of_all(std::vector<evaluation::Fill> const& mine);
    /// Runs this rank's micro-batches of a plan, and appends ids and means of their samples.
    /// Collective.
    void embed(data::Dataset const& set, data::StepPlan const& plan, std::vector<std::int64_t>& ids,
               std::vector<double>& means);
    /// Gives every rank the means of `samples` in their order. Collective.
    std::vector<double> in_order(std::vector<std::int64_t> const& samples,
                                 std::vector<std::int64_t> const& ids,
                                 std::vector<double> const& means);

    parallelize::ComputeDevice place_;
    parallel::Mesh mesh_;
    inputs::LoadedModel model_;
};

} // namespace trireme::framework::jobs
