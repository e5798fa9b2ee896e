#include "framework/model/ops.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>

#include "framework/kernels/attention.hpp"
#include "framework/kernels/random.hpp"
#include "framework/model/composed.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/flash.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/launches.hpp"
#include "parallel/linear.hpp"

namespace trireme::framework::model {

namespace {

using parallel::ParameterUse;
using parallel::recall;
using parallel::remember;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Names the token of each row of a tensor under dropout: the keys of its mask.
struct Rows {
    std::vector<std::int64_t> samples;
    std::vector<std::int32_t> positions;
    at::Tensor sample_ids, position_ids; ///< the same where the composed path reads them
};

Rows rows_of(Pass const& pass) {
    Rows rows{{}, pass.micro_batch.positions, pass.ids.samples, pass.ids.positions};
    for (std::size_t i = 0; i < pass.micro_batch.sample_ids.size(); ++i)
        rows.samples.insert(
            rows.samples.end(),
            static_cast<std::size_t>(pass.micro_batch.offsets[i + 1] - pass.micro_batch.offsets[i]),
            pass.micro_batch.sample_ids[i]);
    return rows;
}

at::Tensor drop_rows(kernels::DropoutKey const& key, Rows const& rows, at::Tensor const& input) {
    at::Tensor const x = for_kernel(input);
    if (parallel::composed(x))
        return composed::dropout_factors(key, rows.sample_ids, rows.position_ids, x.size(1),
                                         x.options())
            .mul_(x)
            .to(input.scalar_type());
    at::Tensor const y = at::empty_like(x);
    parallel::note_kernel("trireme::dropout_rows", {x}, {y});
    by_dtype(x, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::dropout_rows(key, rows.samples.data(), rows.positions.data(), x.size(0), x.size(1),
                              data, write<T>(y));
    });
    return y.to(input.scalar_type());
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
    static Variable forward(AutogradContext* context, Variable const& x,
                            kernels::DropoutKey const& key, std::shared_ptr<Rows const> rows) {
        at::Tensor const y = drop_rows(key, *rows, x);
        context->saved_data["key"] = static_cast<std::int64_t>(key.key);
        context->saved_data["probability"] = key.probability;
        context->saved_data["rows"] =
            c10::IValue::make_capsule(c10::make_intrusive<KeepAlive>(std::move(rows)));
        return y;
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        kernels::DropoutKey const key{
            static_cast<std::uint64_t>(context->saved_data["key"].toInt()),
            context->saved_data["probability"].toDouble()};
        auto const& rows = static_cast<KeepAlive&>(*context->saved_data["rows"].toCapsule()).rows;
        return {drop_rows(key, *rows, gradients[0]), {}, {}};
    }

  private:
    struct KeepAlive : torch::CustomClassHolder {
        explicit KeepAlive(std::shared_ptr<Rows const> r) : rows(std::move(r)) {}
        std::shared_ptr<Rows const> rows;
    };
};

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
    static variable_list forward(AutogradContext* context, Variable const& query,
                                 Variable const& key, Variable const& value,
                                 kernels::AttentionProblem const& problem, bool recompute) {
        at::Tensor const q = for_kernel(query), k = for_kernel(key), v = for_kernel(value);
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
        explicit KeepProblem(kernels::AttentionProblem const& p) : problem(p) {}
        kernels::AttentionProblem problem;
    };
};

/// One node for silu(gate) * up, whose backward pass makes both gradients from one sigmoid.
struct GatedSiluFunction : torch::autograd::Function<GatedSiluFunction> {
    static Variable forward(AutogradContext* context, Variable const& gate, Variable const& up) {
        context->save_for_backward({gate, up});
        return at::silu(gate).mul_(up);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const saved = context->get_saved_variables();
        at::Tensor const dy = gradients[0];
        return {at::silu_backward(dy * saved[1], saved[0]), at::silu(saved[0]).mul_(dy)};
    }
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

bool drops(double probability, Pass const& pass) {
    return pass.training && probability > 0;
}

kernels::DropoutKey key_of(double probability, Pass const& pass, std::uint64_t site) {
    return kernels::dropout_key(pass.seed, static_cast<std::uint64_t>(pass.step), site,
                                probability);
}

} // namespace

at::Tensor dropout(at::Tensor const& x, double probability, Pass const& pass, std::uint64_t site,
                   std::int64_t part) {
    if (!drops(probability, pass)) return x;
    Rows all = rows_of(pass);
    std::int64_t const first = part * x.size(0), last = first + x.size(0);
    Rows own{{all.samples.begin() + first, all.samples.begin() + last},
             {all.positions.begin() + first, all.positions.begin() + last},
             all.sample_ids.narrow(0, first, x.size(0)),
             all.position_ids.narrow(0, first, x.size(0))};
    return DropoutFunction::apply(x, key_of(probability, pass, site),
                                  std::make_shared<Rows const>(std::move(own)));
}

at::Tensor dropout_rows(at::Tensor const& x, double probability, Pass const& pass,
                        std::vector<std::int64_t> const& rows, std::uint64_t site) {
    if (!drops(probability, pass)) return x;
    Rows const all = rows_of(pass);
    Rows chosen;
    if (parallel::composed(x)) {
        at::Tensor const index = on_device(rows, x.device());
        chosen.sample_ids = parallel::pick_rows(all.sample_ids, index);
        chosen.position_ids = parallel::pick_rows(all.position_ids, index);
    }
    for (std::int64_t const r : rows) {
        chosen.samples.push_back(all.samples[static_cast<std::size_t>(r)]);
        chosen.positions.push_back(all.positions[static_cast<std::size_t>(r)]);
    }
    return DropoutFunction::apply(x, key_of(probability, pass, site),
                                  std::make_shared<Rows const>(std::move(chosen)));
}

at::Tensor gated(at::Tensor const& gate, at::Tensor const& up, Activation activation) {
    return activation == Activation::silu ? GatedSiluFunction::apply(gate, up)
                                          : activate(gate, activation) * up;
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
                     AttentionShape const& shape, Pass const& pass) {
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
        shape.cap};
    if (can_flash(q, problem))
        return flash_attention(q, k, v, problem, pass.ids.offsets, shape.recompute);
    return AttentionFunction::apply(q, k, v, problem, shape.recompute)[0];
}

} // namespace trireme::framework::model
