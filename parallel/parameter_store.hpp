// Owner of every parameter's memory: float32 master, compute copy, gradients and optimizer moments,
// in flat buffers.
//
// One store serves all ZeRO stages (Rajbhandari et al., "ZeRO", 2020); stage 0 is a shard group of
// one. The unit of gathering and reducing is a transformer block. Nothing here communicates:
// GradientReducer and WeightGatherer do.
//
// [Note: who keeps what] n = elements of a unit's flat buffer, s = ranks of a shard group.
//   ZeRO        0    1    2    3
//   master      n    n/s  n/s  n/s   its kept range; the compute copy's memory where dtypes agree
//   compute     n    n    n    n     under ZeRO 3 only while its block runs
//   gradient    n    n    n/s  n/s   sum over the step; bitwise mode fills only part until the end
//   micro-batch n    n    n    n     while the unit's backward pass and reduction last, where it is
//                                    not the gradient itself
//   moments     n    n/s  n/s  n/s
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "parallel/flat_layout.hpp"
#include "parallel/parameter.hpp"
#include "parallel/store_place.hpp"

namespace trireme::parallel {

struct StoreOptions {
    at::ScalarType compute = at::kFloat; ///< kDouble: master and gradients are float64 too
    /// bitwise mode: a micro-batch's gradient is made apart from the sum
    bool separate_micro_batches = false;
    bool gradients = true; ///< false: evaluation only, no gradient memory
    int zero = 0;          ///< 0 to 3
    StorePlace place = {};
    at::Device device = at::kCPU; ///< meta: shapes without memory, for dry runs
    /// for a GPU: master weights and moments stay in pinned memory of the host
    bool host_state = false;
};

/// Parameters that are gathered, reduced and freed together, in flat buffers of one layout.
struct Unit {
    enum class State : std::uint8_t { sharded, gathering, unsharded };

    std::string name;
    std::vector<Parameter*> parameters; ///< in order of declaration
    FlatLayout layout;
    /// range of the flat buffer that this rank keeps of master and moments
    std::int64_t begin = 0, end = 0;
    at::Tensor master; ///< [end - begin], float32 (float64 when computing in float64)
    /// [layout.total]; while sharded only the kept range is current, and under ZeRO 3 it is
    /// undefined
    at::Tensor compute;
    State state = State::unsharded;
    /// one per use: the step's gradient, [layout.total] or [end - begin]
    std::vector<at::Tensor> total;
    std::vector<at::Tensor>
        current;                  ///< one per use: [layout.total], the gradient of one micro-batch
    at::Tensor moment1, moment2;  ///< [end - begin]; Adam's, allocated by allocate_moments
    at::Tensor average;           ///< [end - begin]; of the weights, by allocate_average
    bool trainable = false;       ///< whether any of its parameters is
    bool owned = true;            ///< false: a tied copy without optimizer state
    bool current_is_total = true; ///< layers write into the step's sum itself
    /// the update has already written what this rank keeps of `compute`
    bool copied = false;
    at::ScalarType gradient_dtype{};

    /// Tells whether what computes is there, in bfloat16 beside the float32 master.
    bool has_own_copy() const {
        return compute.defined() && compute.scalar_type() != master.scalar_type();
    }
    /// The kept range of a use's sum; of use 0 it is the whole gradient once reduced.
    at::Tensor kept_gradient(std::size_t use = 0) const;
    /// Elements [from, from + count) of the flat buffer in a use's sum. They must be in it.
    at::Tensor gradient_range(std::size_t use, std::int64_t from, std::int64_t count) const;
    /// Gives memory for the gradient of one micro-batch of that use; layers ask for it by
    /// delivering.
    void open_micro_batch(std::size_t use);
    /// The micro-batch's buffers (undefined ones for uses that nothing was delivered to), which the
    /// unit lets go. Every use may deliver again.
    std::vector<at::Tensor> close_micro_batch();
    /// Marks of touched rows (Parameter::touched_rows), uint8, where a parameter keeps account of
    /// them: with their maximum over the ranks of a sum they are those of the sum.
    std::vector<at::Tensor> marks_to_agree_on();
    void show_compute(); ///< parameters see `compute`, or nothing while it is not whole
};

/// The part of one parameter that lies in a range of its unit's flat buffer.
struct Stretch {
    Parameter const* parameter;
    std::int64_t first, count; ///< elements of the parameter's slice
    std::int64_t at;           ///< their beginning in the flat buffer
};
std::vector<Stretch> stretches(Unit const& unit, std::int64_t begin, std::int64_t end);

class ParameterStore {
  public:
    /// Allocates weights and gradients, uninitialised; local. Throws InputError on duplicate names
    /// or a tied parameter that shares its unit.
    ParameterStore(std::vector<ParameterSpec> specs, StoreOptions const& options);

    Parameter& at(std::string const& name);
    Parameter const& at(std::string const& name) const;
    bool contains(std::string const& name) const { return by_name_.contains(name); }
    std::vector<std::unique_ptr<Parameter>> const& parameters() const { return parameters_; }
    std::vector<std::unique_ptr<Unit>>& units() { return units_; }
    std::vector<std::unique_ptr<Unit>> const& units() const { return units_; }
    std::size_t unit_index(std::string const& name) const;
    StoreOptions const& options() const { return options_; }
    at::ScalarType master_dtype() const;

    /// Fills what this rank keeps of a tensor as its spec says: Philox keyed by (seed, name),
    /// counter = global index.
    void initialize(Parameter& parameter, std::uint64_t seed);
    /// Calls f(run, values) for every run of the parameter that this rank keeps: `values` is the
    /// master's memory of it.
    void for_each_kept(Parameter const& parameter,
                       std::function<void(Run const&, at::Tensor const&)> const& f);
    /// Copies the kept range of master to compute, where they are two and compute is there. Local:
    /// under ZeRO 1 and 2 the other ranges come from WeightGatherer.
    void refresh_compute();
    void allocate_moments();
    /// Allocates the moving average of the weights where there are moments.
    void allocate_average();

    void begin_step(); ///< the next gradient of every use is stored, not added
    /// Throws JobError naming a trainable parameter of the unit that got no gradient in this
    /// micro-batch.
    void check_all_delivered(std::size_t unit) const;
    /// Zeroes what no micro-batch of this step wrote, so that a rank without micro-batches adds
    /// nothing to a sum.
    void zero_undelivered(std::size_t unit);

  private:
    void build_unit(std::string const& name, std::vector<Parameter*> parameters);
    void allocate(Unit& unit, int uses) const;
    at::Tensor zeros(std::int64_t count, at::ScalarType dtype) const;
    at::Tensor zero_state(std::int64_t count) const;

    StoreOptions options_;
    std::vector<std::unique_ptr<Parameter>> parameters_;
    std::unordered_map<std::string, Parameter*> by_name_;
    std::vector<std::unique_ptr<Unit>> units_;
};

} // namespace trireme::parallel
