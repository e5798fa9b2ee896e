// Describes what a parity run computes: a tiny model of the run's shape class, data for it and an
// optimizer.
#pragma once
#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "framework/config/config.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::parity {

using Tensors = std::map<std::string, at::Tensor>; ///< by parameter name, global shape

/// Same family, head, tying, biases, norms, windows and kind of sharing of kv heads; 4 layers,
/// widths 47 and 83, a vocabulary of 101, every dropout at 0.1.
model::Config tiny_model(model::Config const& full);
/// Names whatever in a model decides how layouts compute it: "llama language_model rms rotary heads
/// 3/1 tied ...".
std::string shape_class(model::Config const& model);

/// Samples in memory. Lengths are odd, 3 to 17 tokens; of some samples the first tokens are not
/// trained (a prompt), of a classifier's every fifth has no label. `labels`: names of the outputs,
/// if the task has such.
std::shared_ptr<data::Dataset const> synthetic_data(data::TaskKind task,
                                                    std::vector<std::string> const& labels,
                                                    std::int64_t vocabulary, std::uint64_t seed);

struct Problem {
    model::Config model;
    std::shared_ptr<data::Dataset const> data;
    parallelize::NumericsSection numerics; ///< numerics of the layouts; the reference is float64
    /// the rate falls; clip is half the norm of step 1 and decay 2, so that they act
    optimizer::Section optimizer;
    std::uint64_t seed = 1;
    int steps = 3;
    std::int64_t steps_of_schedule = 3; ///< over which the rate falls, however many steps are run
    std::int64_t samples = 7;           ///< per step: divides among no number of ranks but 7
    /// Weights that the first step finds. float32; no bias is 0 and no norm is 1, so that nothing
    /// hides.
    Tensors initial;
    /// Steps that came before: samples, rates, masks and the update's number go on from there.
    std::int64_t first_step = 0;
    Tensors moments1 = {}, moments2 = {}; ///< that the first step finds; empty: zeros
    bool keep_each_step = false;          ///< Trace::each gets what each step left

    std::string task() const { return data->task().name; }
    /// Micro-batches of a step, counted from `first_step`.
    data::StepPlan plan(std::int64_t tokens_per_micro_batch, std::int64_t step) const;
    /// Returns this problem with every dropout at 0.
    Problem without_dropout() const;
};

/// Two limits of tokens per micro-batch: micro-batches of one or two samples, and of several.
std::vector<std::int64_t> const& packings();
/// One micro-batch for the whole step.
inline constexpr std::int64_t kOneMicroBatch = 1 << 20;

/// The model of the run by its config.json and task alone: no data are needed. Throws InputError.
/// Local.
model::Config read_full_model(config::Config const& config);
Problem make_problem(model::Config const& full, config::Config const& config);

} // namespace trireme::framework::parity
