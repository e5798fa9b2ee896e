// A gated activation and the layer that reads it, in one node of the graph, so that what is between
// them need not be kept.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "framework/kernels/gate.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/fused.hpp"
#include "framework/model/ops.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/divided_linear.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/joined.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::model {

/// act(gate) * up, and its gradients. On the path of a GPU one launch makes each, for every
/// activation; gate and up may be columns of one tensor there, and then so are their gradients. On
/// the CPU there is a kernel for silu, and libtorch's operations for the others.
class GatedActivation {
  public:
    GatedActivation(at::Tensor const& gate, at::Tensor const& up, Activation activation)
        : beside_(parallel::composed(gate) && parallel::joined({gate, up}, 1).defined()),
          gate_(beside_ ? gate : gate.contiguous()), up_(beside_ ? up : up.contiguous()),
          activation_(activation) {}

    at::Tensor const& gate() const { return gate_; }
    at::Tensor const& up() const { return up_; }

    at::Tensor forward() const {
        if (parallel::composed(gate_)) return fused_forward();
        if (!has_kernel()) return activate(gate_, activation_).mul_(up_);
        at::Tensor const y = at::empty_like(gate_);
        parallel::note_kernel("trireme::gated_silu", {gate_, up_}, {y});
        by_dtype(gate_, [&](auto* gate) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(gate)>>;
            kernels::gated_silu_forward(y.numel(), gate, read<T>(up_), write<T>(y));
        });
        return y;
    }

    struct Back {
        at::Tensor dgate, dup;
        at::Tensor product; ///< the result of forward() again, where `dy` was
    };
    /// dy: contiguous; it is written over.
    Back backward(at::Tensor const& dy) const {
        if (parallel::composed(gate_)) return fused_backward(dy);
        if (!has_kernel()) return by_libtorch(dy);
        Back const d{at::empty_like(gate_), at::empty_like(up_), dy};
        parallel::note_kernel("trireme::gated_silu_backward", {gate_, up_, dy},
                              {d.dgate, d.dup, dy});
        by_dtype(gate_, [&](auto* gate) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(gate)>>;
            kernels::gated_silu_backward(dy.numel(), gate, read<T>(up_), write<T>(dy),
                                         write<T>(d.dgate), write<T>(d.dup));
        });
        return d;
    }

  private:
    bool has_kernel() const {
        return activation_ == Activation::silu && gate_.scalar_type() != at::kBFloat16;
    }
    Back by_libtorch(at::Tensor const& dy) const {
        at::Tensor const value = activate(gate_, activation_);
        Back d{slope_times(dy * up_, value), value * dy, dy};
        at::mul_out(d.product, value, up_);
        return d;
    }
    at::Tensor slope_times(at::Tensor const& d, at::Tensor const& value) const {
        switch (activation_) {
        case Activation::silu: return at::silu_backward(d, gate_);
        case Activation::gelu: return at::gelu_backward(d, gate_);
        case Activation::gelu_tanh: return at::gelu_backward(d, gate_, "tanh");
        case Activation::relu: return at::threshold_backward(d, gate_, 0);
        case Activation::tanh: return at::tanh_backward(d, value);
        case Activation::xielu: break;
        }
        throw gates_nothing();
    }

    at::Tensor fused_forward() const {
        at::Tensor const y = at::empty(gate_.sizes(), gate_.options());
        fused::run("trireme::gate", gate_, {{gate_, up_}, {y}}, [&]<typename T>(T) {
            auto program = this->program<T>();
            program.out = fused::numbers<T>(y);
            return program;
        });
        return y;
    }
    Back fused_backward(at::Tensor const& dy) const {
        std::int64_t const width = gate_.size(1);
        at::Tensor const both =
            at::empty({beside_ ? 1 : 2, gate_.size(0), gate_.stride(0)}, gate_.options());
        Back const d{both[0].narrow(1, 0, width),
                     beside_ ? both[0].narrow(1, width, width) : both[1], dy};
        fused::run("trireme::gate_backward", gate_, {{gate_, up_, dy}, {d.dgate, d.dup, dy}},
                   [&]<typename T>(T) {
                       auto program = this->program<T>();
                       program.out = fused::numbers<T>(dy);
                       program.dy = program.out;
                       program.dgate = fused::numbers<T>(d.dgate);
                       program.dup = fused::numbers<T>(d.dup);
                       return program;
                   });
        return d;
    }
    template <typename T>
    kernels::fused::Gate<T> program() const {
        return {.count = gate_.size(0),
                .width = gate_.size(1),
                .stride = gate_.stride(0),
                .curve = curve(),
                .gate = fused::numbers<T>(gate_),
                .up = fused::numbers<T>(up_)};
    }
    kernels::fused::Curve curve() const {
        using kernels::fused::Curve;
        switch (activation_) {
        case Activation::silu: return Curve::silu;
        case Activation::gelu: return Curve::gelu;
        case Activation::gelu_tanh: return Curve::gelu_tanh;
        case Activation::relu: return Curve::relu;
        case Activation::tanh: return Curve::tanh;
        case Activation::xielu: break;
        }
        throw gates_nothing();
    }
    static cluster::JobError gates_nothing() {
        return cluster::JobError("an activation with numbers of its own gates nothing");
    }

    bool beside_; ///< gate and up are columns of one tensor
    at::Tensor gate_, up_;
    Activation activation_;
};

struct GatedLinear : torch::autograd::Function<GatedLinear> {
    static at::Tensor forward(torch::autograd::AutogradContext* context, at::Tensor const& gate,
                              at::Tensor const& up, Activation activation,
                              parallel::LinearUse const* layer, parallel::TensorAxis const* axis) {
        GatedActivation const gates(gate, up, activation);
        context->save_for_backward({gates.gate(), gates.up()});
        context->saved_data["activation"] = static_cast<std::int64_t>(activation);
        parallel::remember(context, "layer", *layer);
        parallel::remember(context, "axis", *axis);
        return parallel::RowProduct{*layer, *axis}.forward(gates.forward());
    }
    static torch::autograd::variable_list
    backward(torch::autograd::AutogradContext* context,
             torch::autograd::variable_list const& gradients) {
        parallel::RowProduct const product{
            parallel::recall<parallel::LinearUse const>(context, "layer"),
            parallel::recall<parallel::TensorAxis const>(context, "axis")};
        auto const saved = context->get_saved_variables();
        GatedActivation const gates(
            saved[0], saved[1], static_cast<Activation>(context->saved_data["activation"].toInt()));
        auto const back = product.backward(gradients[0], true);
        auto const d = gates.backward(back.dx);
        back.deliver(d.product);
        return {d.dgate, d.dup, {}, {}, {}};
    }
};

} // namespace trireme::framework::model
