// Compares our attention on one core with libtorch's flash attention for CPUs, on samples of one
// length, round by round: `OMP_NUM_THREADS=1 build/bin/bench_attention`. Prints the fastest of the
// rounds, and ends with 1 if the two differ by more than rounding.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <tuple>
#include <vector>

#include "framework/kernels/attention.hpp"

namespace kernels = trireme::framework::kernels;

namespace {

constexpr int kRounds = 7;

struct Shape {
    std::int64_t length, samples, heads, size;
    bool causal;
};

struct Gradients {
    at::Tensor query, key, value;
};

/// Both ways to compute it take queries, keys and values of [tokens, heads size].
class Attention {
  public:
    explicit Attention(Shape const& s) : s_(s) {
        for (std::int64_t i = 0; i <= s.samples; ++i) offsets_.push_back(i * s.length);
        for (auto* x : {&q_, &k_, &v_, &dout_})
            *x = at::randn({s.samples * s.length, s.heads * s.size});
    }
    double flops() const { // of the forward pass
        return 4.0 * static_cast<double>(s_.length * s_.length * s_.size * s_.heads * s_.samples) /
               (s_.causal ? 2 : 1);
    }
    void ours_forward() {
        out_ = at::empty_like(q_);
        lse_ = at::empty({q_.size(0), s_.heads});
        kernels::attention_forward(problem(), data(q_), data(k_), data(v_), data(out_), data(lse_));
    }
    void ours_backward() {
        ours_ = {at::empty_like(q_), at::empty_like(k_), at::empty_like(v_)};
        kernels::attention_backward(problem(), data(q_), data(k_), data(v_), data(out_), data(lse_),
                                    data(dout_), data(ours_.query), data(ours_.key),
                                    data(ours_.value));
    }
    void theirs_forward() {
        std::tie(their_out_, their_lse_) = at::_scaled_dot_product_flash_attention_for_cpu(
            split(q_), split(k_), split(v_), 0, s_.causal);
    }
    void theirs_backward() {
        std::tie(theirs_.query, theirs_.key, theirs_.value) =
            at::_scaled_dot_product_flash_attention_for_cpu_backward(
                split(dout_), split(q_), split(k_), split(v_), their_out_, their_lse_, 0,
                s_.causal);
    }
    double largest_difference() const {
        return std::max({apart(out_, their_out_), apart(ours_.query, theirs_.query),
                         apart(ours_.key, theirs_.key), apart(ours_.value, theirs_.value)});
    }

  private:
    static float* data(at::Tensor const& x) { return x.data_ptr<float>(); }
    at::Tensor split(at::Tensor const& x) const {
        return x.view({s_.samples, s_.length, s_.heads, s_.size}).transpose(1, 2);
    }
    double apart(at::Tensor const& ours, at::Tensor const& theirs) const {
        return (split(ours) - theirs).abs().max().item<double>();
    }
    kernels::AttentionProblem problem() {
        return {.offsets = offsets_.data(),
                .sample_ids = offsets_.data(),
                .samples = s_.samples,
                .heads = s_.heads,
                .kv_heads = s_.heads,
                .size = s_.size,
                .causal = s_.causal,
                .window = 0,
                .scale = 1 / std::sqrt(static_cast<double>(s_.size)),
                .dropout = {}};
    }
    Shape s_;
    std::vector<std::int64_t> offsets_;
    at::Tensor q_, k_, v_, dout_, out_, lse_, their_out_, their_lse_;
    Gradients ours_, theirs_;
};

void keep_least(double& least, auto const& call) {
    auto const start = std::chrono::steady_clock::now();
    call();
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - start;
    least = std::min(least, took.count());
}

bool compare(Shape const& shape) {
    Attention attention(shape);
    double forward = 1e9, backward = 1e9, their_forward = 1e9, their_backward = 1e9;
    for (int round = 0; round < kRounds; ++round) {
        keep_least(forward, [&] { attention.ours_forward(); });
        keep_least(their_forward, [&] { attention.theirs_forward(); });
        keep_least(backward, [&] { attention.ours_backward(); });
        keep_least(their_backward, [&] { attention.theirs_backward(); });
    }
    double const difference = attention.largest_difference(), giga = attention.flops() / 1e9;
    fmt::print("{} tokens, head size {}{}: forward {:.1f} GFLOP/s, libtorch {:.1f}, ratio {:.2f}; "
               "backward {:.1f}, {:.1f}, {:.2f}; largest difference {:.1e}\n",
               shape.length, shape.size, shape.causal ? ", causal" : "", giga / forward,
               giga / their_forward, their_forward / forward, 2.5 * giga / backward,
               2.5 * giga / their_backward, their_backward / backward, difference);
    return difference < 1e-4;
}

} // namespace

int main() {
    bool same = true;
    for (Shape const shape : {Shape{27, 18, 12, 32, false}, Shape{135, 4, 12, 32, false},
                              Shape{256, 2, 12, 64, true}, Shape{512, 1, 12, 64, true}})
        same = compare(shape) && same;
    return same ? 0 : 1;
}
