// Exact evaluation: every sample once, metrics from sums over unique sample ids, the same bits for
// any rank count.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/parallelize/parallel_model.hpp"

namespace trireme::framework::evaluation {

struct Metrics {
    std::int64_t samples = 0;
    double loss = 0;     ///< mean over trained labels
    double accuracy = 0; ///< trained labels predicted right
    /// classification: mean over classes of F1 (macro)
    double f1 = 0;
    std::vector<std::vector<std::int64_t>> confusion; ///< [label][prediction]; classification only

    /// By the name used in `evaluation.metric`; throws InputError on an unknown one.
    double value(std::string const& name) const;
    nlohmann::ordered_json to_json() const;
};
/// Is `a` better than `b` for this metric? (loss: smaller)
bool is_better(std::string const& metric, double a, double b);

class Evaluator {
  public:
    /// All arguments must outlive the evaluator.
    Evaluator(parallelize::ParallelModel& model, data::BatchShape shape)
        : model_(model), shape_(shape) {}

    /// Results of all samples in the order of their ids, on every rank. Collective over the mesh.
    model::Results results(data::Dataset const& dataset) const;
    Metrics evaluate(data::Dataset const& dataset) const;

  private:
    model::Results gather(model::Results const& mine, std::size_t classes) const;

    parallelize::ParallelModel& model_;
    data::BatchShape shape_;
};

/// Metrics of results sorted by sample id. `classes` 0: not classification. Local.
Metrics summarize(std::vector<model::SampleResult> const& results, std::size_t classes);

} // namespace trireme::framework::evaluation
