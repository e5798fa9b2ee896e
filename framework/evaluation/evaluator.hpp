// Exact evaluation: every sample once, in the order of their ids, the same bits for any rank count.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/evaluation/section.hpp"
#include "framework/parallelize/parallel_model.hpp"

namespace trireme::framework::evaluation {

/// Hears of how many of all samples are computed, on each rank.
using Progress = std::function<void(std::int64_t done, std::int64_t all)>;

class Evaluator {
  public:
    /// All arguments must outlive the evaluator.
    Evaluator(parallelize::ParallelModel& model, data::BatchShape shape,
              Pooling pooling = Pooling::mean)
        : model_(model), shape_(shape), pooling_(pooling) {}

    /// Returns what the model finds for all samples, or, where samples are windows of documents and
    /// the head reads whole samples, for all documents (documents.hpp); on every rank. Collective
    /// over the mesh.
    Outcome outcome(data::Dataset const& dataset, Progress const& progress = {}) const;
    Metrics evaluate(data::Dataset const& dataset) const { return summarize(outcome(dataset)); }

  private:
    /// Sorts what all ranks found into `outcome`.
    void gather(model::Results const& mine, Outcome& outcome) const;

    parallelize::ParallelModel& model_;
    data::BatchShape shape_;
    Pooling pooling_;
    /// first samples of the documents of each data set by its fingerprint: where samples come from
    /// stays in the shards, and would be read again at each evaluation
    mutable std::map<std::string, std::vector<std::int64_t>> documents_;
};

} // namespace trireme::framework::evaluation
