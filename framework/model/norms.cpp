// Normalization of rows, by their root mean square or by mean and deviation.
#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <tuple>

#include "framework/kernels/norm.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/fused_norm.hpp"
#include "framework/model/ops.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/divided_linear.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/launches.hpp"
#include "parallel/products_of_layers.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::model {

namespace {

using parallel::ParameterUse;
using parallel::recall;
using parallel::remember;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// The numbers that a norm multiplies by.
at::Tensor factors_of(ParameterUse const& weight, bool plus_one) {
    at::Tensor const w = for_kernel(weight.value());
    return plus_one ? w + 1 : w;
}

/// A norm of whole rows of which each rank of an axis has some elements. Sums of a row travel as
/// float64, so that they are the sums of one rank but for their last digits.
struct RmsNormOverRanks : torch::autograd::Function<RmsNormOverRanks> {
    static Variable forward(AutogradContext* context, Variable const& input,
                            ParameterUse const* weight, RmsOptions const& options,
                            parallel::TensorAxis const* axis) {
        at::Tensor const x = for_kernel(input), w = factors_of(*weight, options.plus_one);
        at::Tensor const squares = x.square().sum({1}, true, at::kDouble);
        // Heads that several ranks hold count once.
        if (!weight->parameter().counted()) squares.zero_();
        at::Tensor const inverse = (add_up(squares, *axis) / width_of(*weight))
                                       .add_(options.epsilon)
                                       .rsqrt_()
                                       .to(x.scalar_type());
        remember(context, "weight", *weight);
        remember(context, "axis", *axis);
        context->saved_data["plus_one"] = options.plus_one;
        context->save_for_backward({x, inverse});
        return (x * inverse).mul_(w).to(input.scalar_type());
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& weight = recall<ParameterUse const>(context, "weight");
        auto const saved = context->get_saved_variables();
        at::Tensor const x = saved[0], dy = for_kernel(gradients[0]), normal = x * saved[1],
                         scaled = dy * factors_of(weight, context->saved_data["plus_one"].toBool());
        // Each rank that holds a head several ranks hold has a part of its gradient, and one of
        // them adds what comes from the row's sum.
        at::Tensor const sums = add_up((scaled * normal).sum({1}, true, at::kDouble),
                                       recall<parallel::TensorAxis const>(context, "axis"));
        at::Tensor dx = scaled;
        if (weight.parameter().counted())
            dx = scaled - normal * (sums / width_of(weight)).to(x.scalar_type());
        if (weight.trainable()) weight.deliver((dy * normal).sum(0));
        return {(dx * saved[1]).to(gradients[0].scalar_type()), {}, {}, {}};
    }

  private:
    static at::Tensor add_up(at::Tensor const& sums, parallel::TensorAxis const& axis) {
        if (axis.size() > 1)
            parallel::finish(axis.group->all_reduce(parallel::buffer_of(sums),
                                                    cluster::ReduceOp::sum, "norm/sums"),
                             sums);
        return sums;
    }
    static double width_of(ParameterUse const& weight) {
        return static_cast<double>(weight.parameter().spec().shape[0]);
    }
};

using ThreeTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

/// Nothing where there is no bias.
at::Tensor value_of(ParameterUse const& bias) {
    return bias ? bias.value() : at::Tensor();
}
bool learns(ParameterUse const& bias) {
    return bias && bias.trainable();
}

ThreeTensors normalize_rows(at::Tensor const& x, at::Tensor const& weight, at::Tensor const& bias,
                            double epsilon) {
    if (!x.is_meta()) return at::native_layer_norm(x, {x.size(1)}, weight, bias, epsilon);
    // The meta device has no such operation of its own.
    ThreeTensors made{at::empty_like(x), x.new_empty({x.size(0), 1}), x.new_empty({x.size(0), 1})};
    parallel::note_kernel("trireme::layer_norm",
                          bias.defined() ? variable_list{x, weight, bias}
                                         : variable_list{x, weight},
                          {std::get<0>(made), std::get<1>(made), std::get<2>(made)});
    return made;
}

/// `saved`: input, mean and inverse deviation.
ThreeTensors normalize_rows_backward(at::Tensor const& dy, variable_list const& saved,
                                     ParameterUse const& weight, ParameterUse const& bias) {
    if (!dy.is_meta())
        return at::native_layer_norm_backward(dy, saved[0], {saved[0].size(1)}, saved[1], saved[2],
                                              weight.value(), value_of(bias),
                                              {true, weight.trainable(), learns(bias)});
    variable_list made{at::empty_like(dy), at::empty_like(weight.value())};
    if (bias) made.push_back(at::empty_like(bias.value()));
    parallel::note_kernel("trireme::layer_norm_backward",
                          {dy, saved[0], saved[1], saved[2], weight.value()}, made);
    made.resize(3);
    return {made[0], made[1], made[2]};
}

/// The two passes of a norm on the CPU. Parameters outlive the graph.
class RowNorm {
  public:
    explicit RowNorm(NormUse const& use) : use_(use) {}
    explicit RowNorm(AutogradContext* context)
        : use_{static_cast<Norm>(context->saved_data["kind"].toInt()),
               recall<ParameterUse const>(context, "weight"),
               recall<ParameterUse const>(context, "bias"),
               {context->saved_data["epsilon"].toDouble(),
                context->saved_data["plus_one"].toBool()}} {}
    void remember_in(AutogradContext* context) const {
        context->saved_data["kind"] = static_cast<std::int64_t>(use_.kind);
        remember(context, "weight", use_.weight);
        remember(context, "bias", use_.bias);
        context->saved_data["epsilon"] = use_.options.epsilon;
        context->saved_data["plus_one"] = use_.options.plus_one;
    }

    struct Made {
        at::Tensor y;
        variable_list kept; ///< input, and numbers of its rows, for backward()
    };
    Made forward(at::Tensor const& input) const {
        if (use_.kind == Norm::rms) return rms_forward(input);
        auto const [y, mean, inverse] =
            normalize_rows(input, use_.weight.value(), value_of(use_.bias), use_.options.epsilon);
        return {y, {input, mean, inverse}};
    }
    /// Delivers the parameters' gradients and returns the input's. `beside`: its gradient by other
    /// ways, which is added; undefined for none. Others may read that tensor still: a residual
    /// addition hands one gradient to both of its parts, and weight gradients may wait with theirs.
    at::Tensor backward(at::Tensor const& dy, variable_list const& kept,
                        at::Tensor const& beside = {}) const {
        if (use_.kind == Norm::rms) return rms_backward(dy, kept, beside);
        auto const [dx, dweight, dbias] =
            normalize_rows_backward(dy.contiguous(), kept, use_.weight, use_.bias);
        if (use_.weight.trainable()) use_.weight.deliver(dweight);
        if (learns(use_.bias)) use_.bias.deliver(dbias);
        return beside.defined() ? dx.add_(beside) : dx;
    }

  private:
    Made rms_forward(at::Tensor const& input) const {
        at::Tensor const x = for_kernel(input), w = factors_of(use_.weight, use_.options.plus_one);
        at::Tensor const y = at::empty_like(x), inverse = at::empty({x.size(0)}, x.options());
        parallel::note_kernel("trireme::rms_norm", {x, w}, {y, inverse});
        by_dtype(x, [&](auto* data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
            kernels::rms_norm_forward(x.size(0), x.size(1), data, read<T>(w), use_.options.epsilon,
                                      write<T>(y), write<T>(inverse));
        });
        return {y.to(input.scalar_type()), {x, inverse}};
    }
    at::Tensor rms_backward(at::Tensor const& gradient, variable_list const& kept,
                            at::Tensor const& beside) const {
        at::Tensor const &x = kept[0], &inverse = kept[1], dy = for_kernel(gradient),
                         w = factors_of(use_.weight, use_.options.plus_one);
        at::Tensor const added = beside.defined() ? for_kernel(beside) : beside,
                         dx = at::empty_like(x), dweight = at::empty_like(w);
        parallel::note_kernel("trireme::rms_norm_backward",
                              added.defined() ? variable_list{dy, x, w, inverse, added}
                                              : variable_list{dy, x, w, inverse},
                              {dx, dweight});
        by_dtype(x, [&](auto* data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
            kernels::rms_norm_backward<T>(
                x.size(0), x.size(1), read<T>(dy), data, read<T>(w), read<T>(inverse),
                {write<T>(dx), write<T>(dweight), added.defined() ? read<T>(added) : nullptr});
        });
        if (use_.weight.trainable()) use_.weight.deliver(dweight);
        return dx.to(gradient.scalar_type());
    }

    NormUse use_;
};

struct RowNormFunction : torch::autograd::Function<RowNormFunction> {
    static Variable forward(AutogradContext* context, Variable const& x, NormUse const* use) {
        RowNorm const norm(*use);
        norm.remember_in(context);
        auto const made = norm.forward(x);
        context->save_for_backward(made.kept);
        return made.y;
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        return {RowNorm(context).backward(gradients[0], context->get_saved_variables()), {}};
    }
};

/// A norm on the CPU and the layers that read it on one rank, as one node, which keeps the norm's
/// input alone and makes the norm again in the backward pass. Results: the input, which goes on
/// beside, and the layers' outputs.
struct NormalizedLinears : torch::autograd::Function<NormalizedLinears> {
    static variable_list forward(AutogradContext* context, Variable const& x, NormUse const* use,
                                 parallel::Layers const& layers) {
        RowNorm const norm(*use);
        norm.remember_in(context);
        parallel::remember_layers(context, layers);
        context->save_for_backward({x});
        variable_list made =
            parallel::ColumnProducts{layers}.forward(norm.forward(x).y, parallel::Outputs::apart);
        made.insert(made.begin(), x);
        return made;
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        RowNorm const norm(context);
        auto const layers = parallel::layers_in(context);
        auto const back = parallel::ColumnProducts{layers}.backward(
            {gradients.begin() + 1, gradients.end()}, true);
        auto const again = norm.forward(context->get_saved_variables()[0]);
        back.deliver(again.y);
        return {norm.backward(back.dx, again.kept, gradients[0]), {}, {}};
    }
};

} // namespace

at::Tensor normalize(at::Tensor const& x, NormUse const& norm) {
    if (parallel::composed(x))
        return FusedNorm::apply(x, std::nullopt, &norm, false, FusedNorm::Mask{})[0];
    return RowNormFunction::apply(x, &norm);
}

Residual normalize_beside(at::Tensor const& x, NormUse const& norm) {
    if (!parallel::composed(x)) return {x, {}};
    auto const found = FusedNorm::apply(x, std::nullopt, &norm, true, FusedNorm::Mask{});
    return {found[0], found[1]};
}

Residual add_and_normalize(at::Tensor const& x, at::Tensor const& part, DropoutUse const& dropout,
                           NormUse const& norm) {
    if (!parallel::composed(x)) return {add_dropped(x, part, dropout), {}};
    auto const found =
        FusedNorm::apply(x, std::optional(part), &norm, true, mask_of(dropout, x.size(0)));
    return {found[0], found[1]};
}

std::vector<at::Tensor> normalized_linears(Residual& x, NormUse const& norm,
                                           parallel::Layers const& layers,
                                           parallel::TensorAxis const& axis,
                                           parallel::Outputs outputs) {
    if (x.normal.defined()) return parallel::column_linears(x.normal, layers, axis, outputs);
    if (axis.size() > 1)
        return parallel::column_linears(normalize(x.sum, norm), layers, axis, outputs);
    variable_list made = NormalizedLinears::apply(x.sum, &norm, layers);
    x.sum = made.front();
    made.erase(made.begin());
    return made;
}

at::Tensor normalize_sum(at::Tensor const& x, at::Tensor const& part, DropoutUse const& dropout,
                         NormUse const& norm) {
    if (!parallel::composed(x)) return normalize(add_dropped(x, part, dropout), norm);
    return FusedNorm::apply(x, std::optional(part), &norm, false, mask_of(dropout, x.size(0)))[0];
}

at::Tensor rms_norm_heads(at::Tensor const& x, ParameterUse const& weight,
                          RmsOptions const& options) {
    return normalize(x.view({-1, weight.value().size(0)}),
                     {Norm::rms, weight, parallel::kNoParameter, options})
        .view_as(x);
}

at::Tensor rms_norm_over_ranks(at::Tensor const& x, ParameterUse const& weight,
                               RmsOptions const& options, parallel::TensorAxis const& axis) {
    return RmsNormOverRanks::apply(x, &weight, options, &axis);
}

} // namespace trireme::framework::model
