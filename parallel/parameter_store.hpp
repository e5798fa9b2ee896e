// Owner of every parameter's memory: float32 master, compute copy, gradients and optimizer moments, in flat buffers.
//
// One store serves all ZeRO stages; stage 0 is a shard group of one. The unit of gathering and reducing is a
// transformer block. Nothing here communicates; GradientReducer does.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "parallel/flat_layout.hpp"
#include "parallel/parameter.hpp"

namespace trireme::parallel {

/// Parameters that are gathered, reduced and freed together, in flat buffers of one layout.
struct Unit {
    std::string name;
    std::vector<Parameter*> parameters; ///< in order of declaration
    FlatLayout layout;
    at::Tensor master;             ///< [layout.total], float32 (float64 when computing in float64)
    at::Tensor compute;            ///< the same memory as master unless the compute dtype differs
    std::vector<at::Tensor> total; ///< one per use: the step's gradient; [0] is the whole gradient after the reduction
    std::vector<at::Tensor> slot;  ///< one per use: the gradient of one slot; the same memory as total in fast mode
    at::Tensor moment1, moment2;   ///< Adam's moments, allocated by allocate_moments
    bool trainable = false;        ///< of any of its parameters
};

struct StoreOptions {
    at::ScalarType compute = at::kFloat; ///< kDouble: master and gradients are float64 too
    bool separate_slots = false;         ///< bitwise mode: a slot's gradient is made apart from the sum
    int parts = 1;                       ///< equal cuts of a flat buffer (data-parallel size)
    bool gradients = true;               ///< false: evaluation only, no gradient memory
};

class ParameterStore {
  public:
    /// Allocates weights and gradients, uninitialised; local. Throws InputError on duplicate names or a tied parameter
    /// that shares its unit.
    ParameterStore(std::vector<ParameterSpec> specs, StoreOptions const& options);

    Parameter& at(std::string const& name);
    Parameter const& at(std::string const& name) const;
    bool contains(std::string const& name) const { return by_name_.contains(name); }
    std::vector<std::unique_ptr<Parameter>> const& parameters() const { return parameters_; }
    std::vector<Unit>& units() { return units_; }
    std::vector<Unit> const& units() const { return units_; }
    std::size_t unit_index(std::string const& name) const;
    StoreOptions const& options() const { return options_; }
    at::ScalarType master_dtype() const;

    /// Fills one master tensor as its spec says: Philox keyed by (seed, name), counter = global index.
    void initialize(Parameter& parameter, std::uint64_t seed);
    /// Copies master to compute, where they are two.
    void refresh_compute();
    void allocate_moments();

    void begin_step(); ///< the next gradient of every use is stored, not added
    void begin_slot(); ///< every use may deliver once again
    /// Throws JobError naming a trainable parameter of the unit that got no gradient in this slot.
    void check_all_delivered(std::size_t unit) const;
    /// Zeroes what no slot of this step wrote, so that a rank without slots adds nothing to a sum.
    void zero_undelivered(std::size_t unit);

  private:
    void build_unit(std::string const& name, std::vector<Parameter*> parameters);

    StoreOptions options_;
    std::vector<std::unique_ptr<Parameter>> parameters_;
    std::unordered_map<std::string, Parameter*> by_name_;
    std::vector<Unit> units_;
};

} // namespace trireme::parallel
