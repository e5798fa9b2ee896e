// A small Llama, its data and a training loop without files, for tests that compare layouts with
// each other or with the plain oracle.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/model/config.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/parallelize/section.hpp"

namespace trireme::test {

/// Grouped-query attention, odd sizes: width 24, 3 heads over 1, vocabulary 101 (prime).
framework::model::Config tiny_llama(bool tied, double dropout, std::int64_t layers = 4);

/// Samples of language modelling in memory: token ids are pseudo-random, lengths 3 to 19.
class MemoryDataset : public data::Dataset {
  public:
    MemoryDataset(std::int64_t samples, std::int64_t vocabulary);
    std::int64_t size() const override { return static_cast<std::int64_t>(ids_.size()); }
    std::int64_t length(std::int64_t i) const override {
        return static_cast<std::int64_t>(ids(i).size());
    }
    std::int64_t trained(std::int64_t i) const override { return length(i) - 1; }
    std::int64_t longest() const override { return 19; }
    std::int64_t vocabulary() const override { return 101; }
    std::int64_t segments() const override { return 1; }
    data::TaskSchema const& task() const override {
        return data::schema_of(data::TaskKind::language_modeling);
    }
    void verify(int, int) const override {}
    std::string const& fingerprint() const override { return fingerprint_; }
    std::vector<std::string> const& label_names() const override { return labels_; }
    data::MicroBatch read(std::vector<std::int64_t> const& samples,
                          std::int64_t token_multiple) const override;

    std::vector<std::int64_t> const& ids(std::int64_t i) const {
        return ids_.at(static_cast<std::size_t>(i));
    }

  private:
    std::vector<std::vector<std::int64_t>> ids_;
    std::string fingerprint_ = "tiny";
    std::vector<std::string> labels_;
};

struct Curve {
    std::vector<double> losses, norms; ///< per step
    std::string weights_sha256;
};

struct RunOptions {
    framework::parallelize::NumericsMode mode = framework::parallelize::NumericsMode::bitwise;
    framework::parallelize::Compute compute = framework::parallelize::Compute::fp32;
    int steps = 20;
    double learning_rate = 3e-3;
    data::BatchShape batch{7, 30, 1};
    bool tied = false;
    double dropout = 0.1;
    framework::parallelize::ParallelSection parallel = {};
    std::int64_t layers = 4;
    at::Device device = at::kCPU;
};

/// The model in one layout, its data and its optimizer. Optimizer AdamW, weight decay 0.1, clip 1.
class TinyRun {
  public:
    /// collective, as are the two below
    TinyRun(cluster::Communicator& world, RunOptions const& options);
    double step(); ///< returns the loss
    std::string hash();
    double norm() const { return norm_; } ///< of the last step's gradient
    framework::parallelize::ParallelModel& model() { return model_; }
    std::int64_t& steps() { return steps_; } ///< done

  private:
    RunOptions options_;
    framework::model::Config config_;
    MemoryDataset set_;
    parallel::Mesh mesh_;
    framework::parallelize::ParallelModel model_;
    framework::optimizer::AdamW optimizer_;
    framework::optimizer::GradientNorm gradient_norm_;
    std::int64_t steps_ = 0;
    double norm_ = 0;
};

Curve train_tiny(cluster::Communicator& world, RunOptions const& options);
/// Trains on ranks that are threads of this process. Throws if they do not agree on weights and
/// norms.
Curve train_as_threads(int ranks, RunOptions const& options);
std::string describe(int ranks, framework::parallelize::ParallelSection const& layout);

} // namespace trireme::test
