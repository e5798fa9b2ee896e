#include "tests/parity/plain_llama.hpp"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace trireme::test {

namespace {

at::Tensor norm(at::Tensor const& x, at::Tensor const& w, double eps) {
    return x * at::rsqrt(x.square().mean(-1, true) + eps) * w;
}

at::Tensor rotate(at::Tensor const& x, double base) { // [T, H, S]
    auto const size = x.size(2), half = size / 2;
    auto const options = x.options();
    at::Tensor const frequency =
        at::pow(base, at::arange(0, half, options) * (-2.0 / static_cast<double>(size)));
    // [T, half]
    at::Tensor const angle = at::arange(x.size(0), options).unsqueeze(1) * frequency.unsqueeze(0);
    at::Tensor const c = angle.cos().unsqueeze(1), s = angle.sin().unsqueeze(1);
    at::Tensor const a = x.slice(2, 0, half), b = x.slice(2, half, size);
    return at::cat({a * c - b * s, b * c + a * s}, 2);
}

at::Tensor attend(framework::model::Config const& c, at::Tensor q, at::Tensor k, at::Tensor v) {
    auto const t = q.size(0);
    q = rotate(q.view({t, c.heads, c.head_size}), c.rotary_base).transpose(0, 1);
    k = rotate(k.view({t, c.kv_heads, c.head_size}), c.rotary_base)
            .transpose(0, 1)
            .repeat_interleave(c.heads / c.kv_heads, 0);
    v = v.view({t, c.kv_heads, c.head_size})
            .transpose(0, 1)
            .repeat_interleave(c.heads / c.kv_heads, 0);
    at::Tensor scores =
        at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(c.head_size));
    at::Tensor const future = at::ones({t, t}, at::kBool).triu(1);
    scores = scores.masked_fill(future, -INFINITY);
    return at::matmul(at::softmax(scores, -1), v)
        .transpose(0, 1)
        .reshape({t, c.heads * c.head_size});
}

} // namespace

at::Tensor plain_llama_logits(framework::model::Config const& c, Weights const& w,
                              std::vector<std::int64_t> const& ids) {
    auto const& embed = w.at("model.embed_tokens.weight");
    at::Tensor x = embed.index_select(0, at::tensor(ids, at::kLong));
    for (std::int64_t i = 0; i < c.layers; ++i) {
        std::string const p = "model.layers." + std::to_string(i) + ".";
        at::Tensor h = norm(x, w.at(p + "input_layernorm.weight"), c.norm_epsilon);
        h = attend(c, at::matmul(h, w.at(p + "self_attn.q_proj.weight").t()),
                   at::matmul(h, w.at(p + "self_attn.k_proj.weight").t()),
                   at::matmul(h, w.at(p + "self_attn.v_proj.weight").t()));
        x = x + at::matmul(h, w.at(p + "self_attn.o_proj.weight").t());
        h = norm(x, w.at(p + "post_attention_layernorm.weight"), c.norm_epsilon);
        h = at::silu(at::matmul(h, w.at(p + "mlp.gate_proj.weight").t())) *
            at::matmul(h, w.at(p + "mlp.up_proj.weight").t());
        x = x + at::matmul(h, w.at(p + "mlp.down_proj.weight").t());
    }
    x = norm(x, w.at("model.norm.weight"), c.norm_epsilon);
    return at::matmul(x, (c.tied_embeddings ? embed : w.at("lm_head.weight")).t());
}

double plain_llama_backward(framework::model::Config const& config, Weights const& weights,
                            std::vector<std::vector<std::int64_t>> const& samples) {
    at::Tensor sum;
    std::int64_t count = 0;
    for (auto const& ids : samples) {
        auto const n = static_cast<std::int64_t>(ids.size());
        at::Tensor const logits = plain_llama_logits(config, weights, ids).slice(0, 0, n - 1);
        at::Tensor const targets = at::tensor(ids, at::kLong).slice(0, 1, n);
        at::Tensor const loss = -at::log_softmax(logits, 1).gather(1, targets.unsqueeze(1)).sum();
        sum = sum.defined() ? sum + loss : loss;
        count += n - 1;
    }
    at::Tensor const mean = sum / static_cast<double>(count);
    for (auto const& [name, w] : weights) w.mutable_grad() = at::Tensor();
    torch::autograd::backward({mean}, {});
    return mean.item<double>();
}

double PlainAdamW::step(Weights& weights, double learning_rate, double clip) {
    at::NoGradGuard const no_graph;
    double square = 0;
    for (auto const& [name, w] : weights) square += w.grad().square().sum().item<double>();
    double const norm = std::sqrt(square), scale = clip > 0 && norm > clip ? clip / norm : 1.0;
    ++steps_;
    for (auto& [name, w] : weights) {
        at::Tensor const g = w.grad() * scale;
        auto& [m, v] = moments_[name];
        if (!m.defined()) m = at::zeros_like(w), v = at::zeros_like(w);
        m = b1_ * m + (1 - b1_) * g;
        v = b2_ * v + (1 - b2_) * g * g;
        if (w.dim() > 1) w.mul_(1 - learning_rate * decay_);
        w.sub_(learning_rate * (m / (1 - std::pow(b1_, steps_))) /
               ((v / (1 - std::pow(b2_, steps_))).sqrt() + eps_));
    }
    return norm;
}

} // namespace trireme::test
