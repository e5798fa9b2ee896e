#include "tests/device/guarded_flash.hpp"

#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "framework/model/composed.hpp"
#include "tests/device/guarded_device.hpp"

namespace trireme::test {

namespace {

std::atomic<std::size_t> calls{0};

/// The arguments of libtorch's flash attention (native_functions.yaml): [T, heads, S] each, samples
/// cut by int32 offsets, at most `longest` tokens each; keys seen to the left and right, -1 or none
/// for all.
struct FlashArguments {
    at::Tensor q, k, v;
    std::vector<std::int64_t> offsets, samples;
    framework::kernels::AttentionProblem problem{};

    /// Places in the stack: of the three tensors, of the offsets and what follows them, and of the
    /// scale and the window.
    FlashArguments(torch::jit::Stack const& s, std::size_t tensors, std::size_t cuts,
                   std::size_t rest)
        : q(flat(s[tensors])), k(flat(s[tensors + 1])), v(flat(s[tensors + 2])) {
        at::Tensor const sums = s[cuts].toTensor().cpu();
        require(sums.scalar_type() == at::kInt && sums.equal(s[cuts + 1].toTensor().cpu()),
                "offsets");
        std::int64_t longest = 0;
        for (std::int64_t i = 0; i < sums.numel(); ++i) {
            offsets.push_back(sums[i].item<int>());
            if (i > 0) longest = std::max(longest, offsets.back() - offsets[offsets.size() - 2]);
        }
        samples.resize(offsets.size() - 1);
        require(s[cuts + 2].toInt() == longest && s[cuts + 3].toInt() == longest, "longest");
        require(s[cuts + 4].toDouble() == 0, "dropout");
        at::Tensor const& query = s[tensors].toTensor();
        std::int64_t const left = s[rest + 1].isNone() ? -1 : s[rest + 1].toInt(),
                           right = s[rest + 2].isNone() ? -1 : s[rest + 2].toInt();
        bool const causal = s[cuts + 5].toBool();
        require(right == (causal && left >= 0 ? 0 : left), "keys to the right");
        problem = {offsets.data(),
                   samples.data(),
                   static_cast<std::int64_t>(samples.size()),
                   query.size(1),
                   s[tensors + 1].toTensor().size(1),
                   query.size(2),
                   causal,
                   left + 1,
                   s[rest].toDouble(),
                   {}};
    }
    static at::Tensor flat(c10::IValue const& x) {
        require(x.toTensor().scalar_type() == at::kBFloat16 && x.toTensor().dim() == 3,
                "[T, heads, S] in bf16");
        return x.toTensor().cpu().to(at::kFloat).flatten(1).contiguous();
    }
    static void require(bool right, char const* what) {
        if (!right)
            throw cluster::JobError(
                std::string("flash attention is given other arguments than it takes: ") + what);
    }
};

/// A result in the place and shape of `like`.
at::Tensor there(at::Tensor const& x, at::Tensor const& like) {
    return x.view(like.sizes()).to(like.scalar_type()).to(kGuarded);
}

void flash_forward(c10::OperatorHandle const&, torch::jit::Stack* stack) {
    ++calls;
    OnTheCpu const on_the_cpu;
    FlashArguments const a(*stack, 0, 3, 10);
    auto const [out, lse] = framework::model::composed::attention(a.problem, a.q, a.k, a.v);
    at::Tensor const like = (*stack)[0].toTensor(), none = at::zeros({2}, at::kLong).to(kGuarded);
    stack->clear();
    torch::jit::push(*stack, there(out, like), lse.to(kGuarded), none, none, none);
}
void flash_backward(c10::OperatorHandle const&, torch::jit::Stack* stack) {
    ++calls;
    OnTheCpu const on_the_cpu;
    auto const& s = *stack;
    FlashArguments const a(s, 1, 6, 14);
    auto const g = framework::model::composed::attention_backward(
        a.problem, a.q, a.k, a.v, FlashArguments::flat(s[4]), s[5].toTensor().cpu(),
        FlashArguments::flat(s[0]));
    at::Tensor const q = there(g.q, s[1].toTensor()), k = there(g.k, s[2].toTensor()),
                     v = there(g.v, s[3].toTensor());
    stack->clear();
    torch::jit::push(*stack, q, k, v);
}

/// Products of bf16 in float32, which the CPU has not: mm and addmm with `out_dtype`, into `out`.
void require_float_out(at::Tensor const& a, at::Tensor const& b, at::ScalarType dtype,
                       at::Tensor const& out) {
    FlashArguments::require(a.scalar_type() == at::kBFloat16 && b.scalar_type() == at::kBFloat16 &&
                                dtype == at::kFloat && out.scalar_type() == at::kFloat,
                            "a product of bf16 in float32");
}
at::Tensor& product(at::Tensor const& a, at::Tensor const& b, at::ScalarType dtype,
                    at::Tensor& out) {
    require_float_out(a, b, dtype, out);
    return at::mm_out(out, a.to(dtype), b.to(dtype));
}
at::Tensor& added_product(at::Tensor const& sum, at::Tensor const& a, at::Tensor const& b,
                          at::ScalarType dtype, at::Scalar const& beta, at::Scalar const& alpha,
                          at::Tensor& out) {
    require_float_out(a, b, dtype, out);
    FlashArguments::require(sum.scalar_type() == at::kFloat, "a sum in float32");
    return at::addmm_out(out, sum, a.to(dtype), b.to(dtype), beta, alpha);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
    library.impl("mm.dtype_out", &product);
    library.impl("addmm.dtype_out", &added_product);
    library.impl("_flash_attention_forward",
                 torch::CppFunction::makeFromBoxedFunction<&flash_forward>());
    library.impl("_flash_attention_backward",
                 torch::CppFunction::makeFromBoxedFunction<&flash_backward>());
}

} // namespace

std::size_t flash_calls() {
    return calls;
}

} // namespace trireme::test
