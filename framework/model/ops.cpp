#include "framework/model/ops.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <vector>

#include "framework/kernels/attention.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/dropout.hpp"
#include "framework/model/flash.hpp"
#include "framework/model/gated_linear.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/joined.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::model {

namespace {

using parallel::ParameterUse;
using parallel::recall;
using parallel::remember;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
    static variable_list forward(AutogradContext* context, Variable const& query,
                                 Variable const& key, Variable const& value,
                                 kernels::AttentionProblem const& problem, bool recompute) {
        at::Tensor const q = readable(query), k = readable(key), v = readable(value);
        auto const [out, lse] = attend_forward(q, k, v, problem);
        context->save_for_backward(recompute ? variable_list{q, k, v}
                                             : variable_list{q, k, v, out, lse});
        context->saved_data["problem"] =
            c10::IValue::make_capsule(c10::make_intrusive<KeepProblem>(problem));
        return {out.to(query.scalar_type())};
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& problem =
            static_cast<KeepProblem&>(*context->saved_data["problem"].toCapsule()).problem;
        auto const saved = context->get_saved_variables();
        auto const [out, lse] = saved.size() == 3
                                    ? attend_forward(saved[0], saved[1], saved[2], problem)
                                    : std::pair<at::Tensor, at::Tensor>(saved[3], saved[4]);
        auto const [dq, dk, dv] =
            attend_backward(saved, out, lse, for_kernel(gradients[0]), problem);
        auto const dtype = gradients[0].scalar_type();
        return {dq.to(dtype), dk.to(dtype), dv.to(dtype), {}, {}};
    }

  private:
    /// Columns of one tensor stay so on the path of a GPU.
    static at::Tensor readable(at::Tensor const& x) {
        return parallel::composed(x) && x.scalar_type() != at::kBFloat16 ? parallel::dense_rows(x)
                                                                         : for_kernel(x);
    }
    static std::pair<at::Tensor, at::Tensor>
    attend_forward(at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                   kernels::AttentionProblem const& problem) {
        if (parallel::composed(q)) return composed::attention(problem, q, k, v);
        at::Tensor const out = at::empty_like(q),
                         lse = at::empty({q.size(0), problem.heads}, q.options());
        parallel::note_kernel("trireme::attention_forward", {q, k, v}, {out, lse});
        by_dtype(q, [&](auto* data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
            kernels::attention_forward(problem, data, read<T>(k), read<T>(v), write<T>(out),
                                       write<T>(lse));
        });
        return {out, lse};
    }
    /// `saved`: queries, keys and values first.
    static composed::AttentionGradients
    attend_backward(variable_list const& saved, at::Tensor const& out, at::Tensor const& lse,
                    at::Tensor const& dout, kernels::AttentionProblem const& problem) {
        at::Tensor const &q = saved[0], &k = saved[1], &v = saved[2];
        if (parallel::composed(q))
            return composed::attention_backward(problem, q, k, v, out, lse, dout);
        composed::AttentionGradients const g{at::empty_like(q), at::empty_like(k),
                                             at::empty_like(v)};
        parallel::note_kernel("trireme::attention_backward", {q, k, v, out, lse, dout},
                              {g.q, g.k, g.v});
        by_dtype(q, [&](auto* data) {
            using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
            kernels::attention_backward(problem, data, read<T>(k), read<T>(v), read<T>(out),
                                        read<T>(lse), read<T>(dout), write<T>(g.q), write<T>(g.k),
                                        write<T>(g.v));
        });
        return g;
    }
    struct KeepProblem : torch::CustomClassHolder {
        explicit KeepProblem(kernels::AttentionProblem const& p) : problem(p) {
            if (!p.asking) return;
            asking.assign(p.asking, p.asking + p.samples); // the caller's end with the forward pass
            problem.asking = asking.data();
        }
        kernels::AttentionProblem problem;
        std::vector<std::int64_t> asking;
    };
};

/// Two sums over all numbers, for the gradients of the two that are trained, in float64.
struct XieluFunction : torch::autograd::Function<XieluFunction> {
    static Variable forward(AutogradContext* context, Variable const& input, XieluUse const* use) {
        at::Tensor const x = for_kernel(input);
        remember(context, "use", *use);
        context->save_for_backward({x});
        auto const [a, b, c, e] = factors(*use);
        return at::where(x > 0, a * x * x, (at::minimum(x, e).expm1() - x) * c)
            .add_(b * x)
            .to(input.scalar_type());
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& use = recall<XieluUse const>(context, "use");
        at::Tensor const x = context->get_saved_variables()[0], dy = for_kernel(gradients[0]);
        auto const [a, b, c, e] = factors(use);
        at::Tensor const above = x > 0, least = at::minimum(x, e);
        at::Tensor const slope =
            at::where(above, 2 * a * x, (least.exp() * (x < e) - 1) * c).add_(b);
        deliver(use.positive, at::where(above, dy * x * x, 0));
        deliver(use.negative, at::where(above, 0, dy * (least.expm1() - x)));
        return {(dy * slope).to(gradients[0].scalar_type()), {}};
    }

  private:
    static std::array<at::Tensor, 4> factors(XieluUse const& use) {
        at::Tensor const b = for_kernel(use.beta.value());
        return {at::softplus(for_kernel(use.positive.value())), b,
                at::softplus(for_kernel(use.negative.value())) + b,
                for_kernel(use.epsilon.value())};
    }
    static void deliver(ParameterUse const& number, at::Tensor const& of_softplus) {
        if (!number.trainable()) return;
        at::Tensor const value = for_kernel(number.value());
        number.deliver(of_softplus.sum({0, 1}, false, at::kDouble).reshape({1}) * value.sigmoid());
    }
};

} // namespace

at::Tensor gated_linear(at::Tensor const& gate, at::Tensor const& up, Activation activation,
                        parallel::LinearUse const& layer, parallel::TensorAxis const& axis) {
    return GatedLinear::apply(gate, up, activation, &layer, &axis);
}

at::Tensor activate(at::Tensor const& x, Activation activation) {
    switch (activation) {
    case Activation::silu: return at::silu(x);
    case Activation::gelu: return at::gelu(x);
    case Activation::gelu_tanh: return at::gelu(x, "tanh");
    case Activation::relu: return at::relu(x);
    case Activation::tanh: return at::tanh(x);
    case Activation::xielu: break; // has numbers of its own
    }
    throw cluster::JobError("an activation with numbers of its own is computed by xielu");
}

at::Tensor xielu(at::Tensor const& x, XieluUse const& use) {
    return XieluFunction::apply(x, &use);
}

at::Tensor attention(at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                     AttentionShape const& shape, Pass const& pass, Tokens asking) {
    kernels::AttentionProblem const problem{
        pass.micro_batch.offsets.data(),
        pass.micro_batch.sample_ids.data(),
        pass.micro_batch.sample_count(),
        shape.heads,
        shape.kv_heads,
        shape.head_size,
        shape.causal,
        shape.window,
        shape.scale,
        key_of(drops(shape.dropout, pass) ? shape.dropout : 0.0, pass, shape.site),
        shape.first_head,
        shape.cap,
        asking ? asking->data() : nullptr};
    if (can_flash(q, problem))
        return flash_attention(q, k, v, problem, pass.ids.cuts, shape.recompute);
    return AttentionFunction::apply(q, k, v, problem, shape.recompute)[0];
}

} // namespace trireme::framework::model
