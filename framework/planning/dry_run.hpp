// A run without data, whose steps are all alike.
#pragma once
#include <optional>
#include <utility>

#include "framework/planning/dry_step.hpp"

namespace trireme::framework::planning {

class DryRun {
  public:
    DryRun(model::Config const& model, StepDescription const& step, cluster::Communicator& world,
           at::Device device)
        : config_(model), step_(step), device_(device), mesh_(world, step.mesh),
          model_(model, mesh_, step.section, step.numerics, true, device) {
        if (step.base) model_.keep_base(1.0, step.section, step.numerics);
        optimizer_.emplace(model_.store(),
                           optimizer::Section{.ema_decay = step.average ? 0.999 : 0.0},
                           step.section.offload == parallelize::Offload::optimizer);
        // In bitwise mode ranks tell each other what they sum, and here there are none.
        if (!device.is_meta() || step.numerics.mode == parallelize::NumericsMode::fast)
            norm_.emplace(model_.store(), mesh_);
        model_.refresh();
        if (step.base) model_.base()->refresh();
        next_ = read();
    }
    /// Takes the micro-batches that were read ahead, and reads those of the step after.
    void load() {
        micro_batches_ = next_.micro_batches;
        auto passes = std::move(next_.passes);
        next_ = read();
        model_.load(std::move(passes));
        parallel::step_place = {"step"};
    }
    void train() { train_once(model_, *optimizer_, norm_, micro_batches_); }

  private:
    DryStep read() const { return dry_step(config_, step_, mesh_, device_); }

    model::Config const& config_;
    StepDescription const& step_;
    at::Device device_;
    parallel::Mesh mesh_;
    parallelize::ParallelModel model_;
    std::optional<optimizer::AdamW> optimizer_;
    std::optional<optimizer::GradientNorm> norm_;
    DryStep next_;
    std::int64_t micro_batches_ = 0;
};

} // namespace trireme::framework::planning
