#include "framework/model/flash.hpp"

#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "parallel/compute_path.hpp"
#include "parallel/joined.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Holds what the kernels need to know of a problem. It is read on the host, so that nothing waits
/// for the GPU.
struct Shape : torch::CustomClassHolder {
    explicit Shape(kernels::AttentionProblem const& p)
        : size(p.size), causal(p.causal), scale(p.scale),
          left(p.window > 0 ? std::optional(p.window - 1) : std::nullopt),
          right(p.window > 0 ? std::optional(p.causal ? 0 : p.window - 1) : std::nullopt) {
        for (std::int64_t i = 0; i < p.samples; ++i)
            longest = std::max(longest, p.offsets[i + 1] - p.offsets[i]);
    }
    std::int64_t size, longest = 0;
    bool causal;
    double scale;
    std::optional<std::int64_t> left, right; ///< keys seen to either side; -1: all
    at::Tensor heads(at::Tensor const& x) const { return x.view({x.size(0), -1, size}); }
};

/// Output, log of the sums, and two that the kernels hand from one pass to the other.
variable_list run(Shape const& s, at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                  at::Tensor const& offsets) {
    if (q.is_meta()) {
        variable_list made{
            at::empty_like(s.heads(q)),
            at::empty({q.size(1) / s.size, q.size(0)}, q.options().dtype(at::kFloat)), at::Tensor(),
            at::Tensor()};
        parallel::note_kernel("trireme::flash_forward", {q, k, v}, {made[0], made[1]});
        return made;
    }
    auto const [out, lse, random, unused, debug] = at::_flash_attention_forward(
        s.heads(q), s.heads(k), s.heads(v), offsets, offsets, s.longest, s.longest, 0.0, s.causal,
        false, s.scale, s.left, s.right);
    return {out, lse, random, unused};
}

struct FlashFunction : torch::autograd::Function<FlashFunction> {
    static Variable forward(AutogradContext* context, Variable const& query, Variable const& key,
                            Variable const& value, at::Tensor const& offsets,
                            c10::intrusive_ptr<Shape> const& shape, bool recompute) {
        variable_list kept{parallel::dense_rows(query), parallel::dense_rows(key),
                           parallel::dense_rows(value), offsets};
        auto const made = run(*shape, kept[0], kept[1], kept[2], kept[3]);
        if (!recompute) kept.insert(kept.end(), made.begin(), made.end());
        context->save_for_backward(kept);
        context->saved_data["shape"] = c10::IValue::make_capsule(shape);
        return made[0].view_as(query);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& s = static_cast<Shape&>(*context->saved_data["shape"].toCapsule());
        auto const saved = context->get_saved_variables();
        auto const &q = saved[0], &k = saved[1], &v = saved[2], &offsets = saved[3];
        auto const made = saved.size() == 4 ? run(s, q, k, v, offsets)
                                            : variable_list{saved[4], saved[5], saved[6], saved[7]};
        if (q.is_meta()) {
            variable_list made_here;
            for (auto const& x : {q, k, v}) made_here.push_back(x.new_empty(x.sizes()));
            parallel::note_kernel("trireme::flash_backward",
                                  {q, k, v, gradients[0], made[0], made[1]}, made_here);
            made_here.resize(6);
            return made_here;
        }
        auto const [dq, dk, dv] = at::_flash_attention_backward(
            s.heads(gradients[0].contiguous()), s.heads(q), s.heads(k), s.heads(v), made[0],
            made[1], offsets, offsets, s.longest, s.longest, 0.0, s.causal, made[2], made[3],
            s.scale, s.left, s.right);
        return {dq.reshape(q.sizes()), dk.reshape(k.sizes()), dv.reshape(v.sizes()), {}, {}, {}};
    }
};

} // namespace

std::string no_flash(at::ScalarType dtype, AttentionUse const& use) {
    if (dtype != at::kBFloat16) return "numerics.compute is not bf16";
    if (use.dropout > 0) return fmt::format("model.attention_dropout is {}, not 0", use.dropout);
    if (use.cap > 0) return fmt::format("the model caps scores at {}", use.cap);
    if (use.head_size % 8 || use.head_size > 256)
        return fmt::format("heads of size {} are no multiple of 8 up to 256", use.head_size);
    return "";
}

bool can_flash(at::Tensor const& q, kernels::AttentionProblem const& problem) {
    return (parallel::on_gpu(q) || (q.is_meta() && dry_flash)) &&
           no_flash(q.scalar_type(), {problem.size, problem.dropout.probability, problem.cap})
               .empty();
}

at::Tensor flash_attention(at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                           kernels::AttentionProblem const& problem, at::Tensor const& offsets,
                           bool recompute) {
    return FlashFunction::apply(q, k, v, offsets, c10::make_intrusive<Shape>(problem), recompute);
}

} // namespace trireme::framework::model
