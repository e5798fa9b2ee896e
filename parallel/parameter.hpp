// A parameter, and the handle by which layers reach it.
//
// Layers save handles, not tensors, in the graph: between forward and backward pass the store may free and gather the
// values again (ZeRO-3), and a layer writes its weight gradient straight into the buffer that the store names.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::parallel {

enum class Initial : std::uint8_t { normal, zeros, ones };

/// What the store has to know about a tensor. Plain data.
struct ParameterSpec {
    std::string name;                ///< Hugging Face name; keys random streams and checkpoints
    std::vector<std::int64_t> shape; ///< global shape
    std::string unit;                ///< transformer block it is gathered and reduced with
    Initial initial = Initial::normal;
    double deviation = 0.02; ///< of Initial::normal
    bool trainable = true;
    bool decay = true; ///< takes part in weight decay
    double learning_rate_scale = 1.0;
    int uses = 1;             ///< layers that read it; more than 1 means tied, and then it is alone in its unit
    bool input_major = false; ///< the weight of a linear layer that is stored [in, out] (GPT-2), not [out, in]
};

class Parameter {
  public:
    explicit Parameter(ParameterSpec spec) : spec_(std::move(spec)) {}

    ParameterSpec const& spec() const { return spec_; }
    std::int64_t numel() const;
    /// The compute copy, of the global shape.
    at::Tensor const& value() const { return value_; }
    /// The float32 (float64 in the oracle mode) master copy, of the global shape.
    at::Tensor const& master() const { return master_; }
    /// Gradient of the whole step, once reduced.
    at::Tensor const& gradient() const { return sinks_.front().total; }

  private:
    friend class ParameterStore;
    friend class ParameterUse;
    /// Where one use's gradient goes. `slot` is `total` in fast mode.
    struct Sink {
        at::Tensor total, slot;
        bool holds_sum = false; ///< the next gradient of this use is added, not stored
        bool written = false;   ///< since the start of this slot
    };

    ParameterSpec spec_;
    at::Tensor value_, master_;
    std::vector<Sink> sinks_;
};

/// The handle a layer keeps: which parameter, and which of its uses this is. Copyable; the store outlives it.
class ParameterUse {
  public:
    ParameterUse() = default;
    explicit ParameterUse(Parameter& parameter, int use = 0) : parameter_(&parameter), use_(use) {}

    explicit operator bool() const { return parameter_ != nullptr; }
    at::Tensor const& value() const { return parameter_->value_; }
    bool trainable() const { return parameter_->spec_.trainable; }
    bool input_major() const { return parameter_->spec_.input_major; }
    std::string const& name() const { return parameter_->spec_.name; }

    /// Delivers this use's gradient of one slot: a b, made by a matrix product straight into the buffer where the mode
    /// allows it. Call once per slot.
    void deliver_product(at::Tensor const& a, at::Tensor const& b) const;
    /// Delivers this use's gradient of one slot. Call once per slot.
    void deliver(at::Tensor const& gradient) const;
    /// For gradients made by parts: the buffer to add this slot's parts into, and whether it holds nothing yet (then it
    /// is not zeroed: the first part is stored, or the caller zeroes it). Call once per slot; counts as delivered.
    struct Accumulator {
        at::Tensor buffer;
        bool fresh;
    };
    Accumulator accumulate() const;

  private:
    Parameter* parameter_ = nullptr;
    int use_ = 0;
};

} // namespace trireme::parallel
