// A parameter, and the handle by which layers reach it.
//
// Layers save handles, not tensors, in the graph: between forward and backward pass the store may
// free and gather the values again (ZeRO-3), and a layer writes its weight gradient straight into
// the buffer that the store names.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "parallel/tensor_cut.hpp"

namespace trireme::parallel {

enum class Initial : std::uint8_t { normal, zeros, ones, constant };

/// Plain data that the store has to know about a tensor.
struct ParameterSpec {
    std::string name;                ///< Hugging Face name; keys random streams and checkpoints
    std::vector<std::int64_t> shape; ///< global shape
    std::string unit;                ///< transformer block it is gathered and reduced with
    Initial initial = Initial::normal;
    double deviation = 0.02; ///< standard deviation of Initial::normal
    double value = 0.0;      ///< that of Initial::constant
    bool scalar = false;     ///< a number that is never trained: [1] here, without dimensions in
                             ///< Hugging Face's files
    bool trainable = true;
    bool decay = true; ///< takes part in weight decay
    /// layers of this process that read it; more than 1 means tied, and then it is alone in its
    /// unit
    int uses = 1;
    int first_use = 0; ///< tied across pipeline stages: number of the first use here
    /// false: a tied copy on another stage than its owner's; it has no optimizer state
    bool owned = true;
    int peer_stage = -1;  ///< tied across pipeline stages: the stage of the other use
    TensorCut cut = {};   ///< over the tensor axis
    bool partial = false; ///< whole on every tensor rank, and each rank's gradient is a part of the
                          ///< sum (sequence parallelism): norms, biases after a sum
    /// the weight of a linear layer that is stored [in, out] (GPT-2), not [out, in]
    bool input_major = false;
    /// row of an embedding that gets no gradient as an input (torch's padding_idx)
    std::int64_t untrained_row = -1;
    /// a table that only an embedding reads: a gradient has the rows of the tokens alone
    bool by_rows = false;
};

/// The number that all elements begin with; 0 for those that are drawn around it.
inline double start_of(ParameterSpec const& spec) {
    return spec.initial == Initial::ones       ? 1.0
           : spec.initial == Initial::constant ? spec.value
                                               : 0.0;
}

struct Unit;

class Parameter {
  public:
    /// `tensor_ranks`, `tensor_rank`: place on the tensor axis.
    explicit Parameter(ParameterSpec spec, int tensor_ranks = 1, int tensor_rank = 0);

    ParameterSpec const& spec() const { return spec_; }
    /// The slice of the global tensor that this rank holds, along spec().cut.dim.
    TensorSlice const& slice() const { return slice_; }
    /// shape of the slice, including padding
    std::vector<std::int64_t> const& shape() const { return shape_; }
    std::int64_t numel() const; ///< elements of the slice
    /// Tells whether this rank, of those that hold the same slice, is the one that counts it in
    /// norms and writes it to files.
    bool counted() const { return counted_; }
    Unit const& unit() const { return *unit_; }
    /// The compute copy [shape()]; undefined while its unit is sharded.
    at::Tensor const& value() const { return value_; }
    /// The float32 (float64 in the oracle mode) master copy [shape()]. ZeRO 0 only: otherwise a
    /// rank holds stretches.
    at::Tensor const& master() const;
    /// Gradient of the whole step [shape()], once reduced. ZeRO 0 only.
    at::Tensor const& gradient() const;
    /// Marks of the rows of gradient(), uint8 [rows of the slice]: those marked 0 are zero.
    /// Undefined where any row may hold something.
    at::Tensor touched_rows() const;

  private:
    friend class ParameterStore;
    friend class ParameterUse;
    friend struct Unit;
    /// The place that one use's gradient goes to.
    struct Sink {
        at::Tensor gradient;    ///< undefined while the unit has no buffer for it
        bool holds_sum = false; ///< the next gradient of this use is added, not stored
        bool written = false;   ///< since the start of this micro-batch
        at::Tensor marks;       ///< touched_rows(); undefined: it keeps no account of its rows
        bool marked = false;    ///< the account holds
        /// Zeroes the gradient, and begins an account where it keeps one.
        void clear();
    };
    Sink& sink(int use);

    ParameterSpec spec_;
    TensorSlice slice_;
    std::vector<std::int64_t> shape_;
    bool counted_ = true;
    Unit* unit_ = nullptr;
    at::Tensor value_, master_, gradient_;
    std::vector<Sink> sinks_;
};

/// Elements [local, local + count) of a parameter's slice are elements [global, global + count) of
/// the row-major global tensor. Padding is in no run.
struct Run {
    std::int64_t local, global, count;
};
/// The runs of elements [first, first + count) of the slice, in order.
void for_each_run(Parameter const& parameter, std::int64_t first, std::int64_t count,
                  std::function<void(Run const&)> const& f);

/// The handle a layer keeps: which parameter, and which of its uses this is. Copyable; the store
/// outlives it.
class ParameterUse {
  public:
    ParameterUse() = default;
    explicit ParameterUse(Parameter& parameter, int use = 0)
        : parameter_(&parameter), use_(use - parameter.spec().first_use) {}

    explicit operator bool() const { return parameter_ != nullptr; }
    at::Tensor const& value() const { return parameter_->value_; }
    bool trainable() const { return parameter_->spec_.trainable; }
    bool input_major() const { return parameter_->spec_.input_major; }
    std::string const& name() const { return parameter_->spec_.name; }
    Parameter const& parameter() const { return *parameter_; }

    /// Delivers this use's gradient of one micro-batch: a b, made by a matrix product straight into
    /// the buffer where the mode allows it. Call once per micro-batch. Both of these wait while a
    /// WeightGradientQueue is alive.
    void deliver_product(at::Tensor const& a, at::Tensor const& b) const;
    /// Delivers this use's gradient of one micro-batch. Call once per micro-batch.
    void deliver(at::Tensor const& gradient) const;
    /// Serves gradients that are made by parts, inside now_or_later: returns the buffer to add this
    /// micro-batch's parts into, and whether it holds nothing yet (then it is not zeroed: the first
    /// part is stored, or the caller zeroes it). Call once per micro-batch; counts as delivered.
    struct Accumulator {
        at::Tensor buffer;
        bool fresh;
    };
    Accumulator accumulate() const;
    /// Serves gradients that are made of rows `ids` (int64; -1: of none), inside now_or_later:
    /// returns the buffer to add them into. Call once per micro-batch; counts as delivered.
    at::Tensor accumulate_rows(at::Tensor const& ids) const;

  private:
    Parameter* parameter_ = nullptr;
    int use_ = 0;
};

/// sum += a b, or = where `fresh`. On the path of a GPU a product of bfloat16 is added in the
/// float32 of its sums, one launch and one rounding; on the host it is rounded to bfloat16 first.
void product_into(at::Tensor const& sum, at::Tensor const& a, at::Tensor const& b, bool fresh);

/// True in a thread while the backward pass of what it computes comes next, before anything of
/// another micro-step: a weight gradient that a forward pass makes may go into its buffer at once.
inline thread_local bool backward_is_next = false;

/// [Note: weight gradients later]
/// While one of these is alive in a thread, gradients that layers deliver there wait in it, until
/// `run` makes them in the order of delivery: the weight-gradient half of a backward pass (Qi et
/// al., "Zero Bubble Pipeline Parallelism", 2023).
class WeightGradientQueue {
  public:
    WeightGradientQueue();
    ~WeightGradientQueue();
    WeightGradientQueue(WeightGradientQueue const&) = delete;
    WeightGradientQueue& operator=(WeightGradientQueue const&) = delete;
    /// The work that waits; the queue is empty afterwards.
    std::vector<std::function<void()>> take() { return std::move(waiting_); }

  private:
    friend void now_or_later(std::function<void()> work);
    std::vector<std::function<void()>> waiting_;
    WeightGradientQueue* outer_;
};
/// Runs `work` at once, or puts it into this thread's queue.
void now_or_later(std::function<void()> work);
/// Tells whether such work waits in this thread.
bool weight_gradients_wait();

} // namespace trireme::parallel
