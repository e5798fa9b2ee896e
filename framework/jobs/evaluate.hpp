// A model of a Hugging Face folder on a split of data, without training.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "cluster/output_file.hpp"
#include "framework/config/config.hpp"
#include "framework/evaluation/evaluator.hpp"

namespace trireme::framework::jobs {

struct EvaluationJob {
    std::string model, data, split = "test";
    std::int64_t tokens_per_micro_batch = 2048;
    std::vector<std::string> set; ///< "parallel.pipeline=2": parallel.*, numerics.compute
    /// The JSONL that rank 0 writes: sample, loss, trained, and what the task adds for a sample.
    /// Null: none.
    cluster::OutputFile* predictions = nullptr;
};

/// Samples that are read and gathered at a time, of no influence on what is found. Tests make it
/// small.
inline std::atomic<std::int64_t> samples_per_plan = 256;

struct Evaluation {
    evaluation::Metrics metrics;
    config::Compute compute; ///< float32 unless `set` asks for another
};

/// Collective over `world`. Throws InputError.
Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world);

} // namespace trireme::framework::jobs
