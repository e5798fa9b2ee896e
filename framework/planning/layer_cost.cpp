#include "framework/planning/layer_cost.hpp"

#include <algorithm>
#include <cmath>

#include "framework/planning/kernels.hpp"
#include "framework/planning/real.hpp"
#include "parallel/budgets.hpp"

namespace trireme::framework::planning {

namespace {

/// Numbers of kernels of a layer, of which the backward pass starts about twice as many.
constexpr double kLayerKernels = 22, kFusedAttentionSaves = 6, kGatedKernels = 6;

/// Seconds between the end of a kernel's last block and the start of the next kernel's first.
constexpr double kKernelGap = 3e-6;

/// Adds up the kernels of a pass.
class Kernels {
  public:
    explicit Kernels(Setting const& setting) : s_(setting) {}

    /// A matrix product of the forward pass and both of its backward pass.
    void product(double rows, double columns, double inner, double batch = 1) {
        auto const& gpu = s_.machine.gpu;
        cost_.forward.device += matrix_seconds(gpu, rows, columns, inner, batch);
        cost_.input_gradient.device += matrix_seconds(gpu, rows, inner, columns, batch);
        cost_.weight_gradient.device += matrix_seconds(gpu, inner, columns, rows, batch);
    }
    /// Adding weight gradients to those that are there moves them once more.
    void accumulate(double parameters) {
        double const width = s_.workload.fp32_gradients ? 4 : 2;
        cost_.weight_gradient.device += memory_seconds(s_.machine.gpu, 2 * width * parameters);
    }
    void traffic(double forward, double backward) {
        double const times = s_.stack.constants.elementwise;
        cost_.forward.device += times * memory_seconds(s_.machine.gpu, forward);
        cost_.input_gradient.device += times * memory_seconds(s_.machine.gpu, backward);
    }
    void attention(double flops_forward, bool again) {
        double const rate = s_.machine.gpu.matrix_flops * s_.stack.constants.attention;
        cost_.forward.device += flops_forward / rate;
        cost_.input_gradient.device += 2.5 * flops_forward / (0.85 * rate);
        if (again) cost_.input_gradient.device += flops_forward / rate;
    }
    void launches(double kernels) {
        double const host = kernels * s_.stack.constants.host_kernel;
        double const gaps = kernels * kKernelGap;
        cost_.forward.device += gaps;
        cost_.input_gradient.device += 1.2 * gaps;
        cost_.weight_gradient.device += 0.5 * gaps;
        cost_.forward.host += host;
        cost_.input_gradient.host += 1.2 * host;
        cost_.weight_gradient.host += 0.5 * host;
    }
    /// Calls of forward and backward, each of which waits for the latest host of its group.
    void collective(double forward, double backward, double calls, std::int64_t ranks) {
        double const host = calls * real(ranks - 1) * s_.stack.constants.host_collective;
        cost_.forward.collective += forward;
        cost_.forward.host += host;
        cost_.input_gradient.collective += backward;
        cost_.input_gradient.host += host;
    }
    PartCost const& cost() const { return cost_; }

  private:
    Setting const& s_;
    PartCost cost_;
};

/// Softmax and dropout of stored scores: forward each reads and writes 2 bytes, and dropout writes
/// a mask; backward dropout reads it, and softmax reads its result too.
constexpr double kScoreBytesForward = 9, kScoreBytesBackward = 11;

void add_attention(Kernels& kernels, Setting const& s) {
    auto const& w = s.workload;
    double const heads = real(w.model.heads) / real(w.layout.tensor);
    double const keys = real(w.sequence), width = real(w.model.head_dim), tokens = s.tokens();
    double const queries = keys / real(w.layout.context);
    if (w.flash_attention) {
        double const seen = s.stack.causal_attention ? 0.5 : 1;
        kernels.attention(4 * seen * tokens * keys * heads * width,
                          s.stack.recomputes_attention &&
                              w.layout.recompute == Recompute::selective);
        return;
    }
    double const batch = real(w.micro_batch) * heads;
    kernels.product(queries, keys, width, batch);
    kernels.product(queries, width, keys, batch);
    double const scores = batch * queries * keys;
    kernels.traffic(kScoreBytesForward * scores, kScoreBytesBackward * scores);
}

void add_products(Kernels& kernels, Setting const& s) {
    auto const& m = s.workload.model;
    double const n = s.tokens(), h = real(m.hidden), t = real(s.workload.layout.tensor);
    double const qkv = real(m.attention_width() + 2 * m.kv_width()) / t;
    kernels.product(n, qkv, h);
    kernels.product(n, h, real(m.attention_width()) / t);
    kernels.product(n, real(m.ffn) * (m.gated ? 2 : 1) / t, h);
    kernels.product(n, h, real(m.ffn) / t);
    kernels.accumulate(m.layer_parameters() / t);
}

/// Norms, residuals and dropout work on whole rows; what lies between two products is split.
void add_elementwise(Kernels& kernels, Setting const& s) {
    auto const& w = s.workload;
    double const n = s.tokens(), t = real(w.layout.tensor);
    double const rows = n * real(w.model.hidden) / (w.layout.sequence_parallel ? t : 1);
    double const heads = n * real(w.model.attention_width() + 2 * w.model.kv_width()) / t;
    double const ffn = n * real(w.model.ffn) / t;
    kernels.traffic(22 * rows, 30 * rows);
    kernels.traffic(4 * heads, 4 * heads);
    kernels.traffic((w.model.gated ? 6 : 4) * ffn, (w.model.gated ? 10 : 6) * ffn);
}

void add_tensor_calls(Kernels& kernels, Setting const& s) {
    auto const& w = s.workload;
    if (w.layout.tensor == 1) return;
    double const bytes = 2 * s.tokens() * real(w.model.hidden);
    double const all_reduce = all_reduce_seconds(s.tensor_group(), s.machine, bytes);
    double const gather = all_gather_seconds(s.tensor_group(), s.machine, bytes);
    bool const sp = w.layout.sequence_parallel;
    double const again = sp && s.stack.gathers_again ? 2 * gather : 0;
    double forward = 2 * all_reduce, backward = 2 * all_reduce + again;
    if (sp && s.stack.hides_tensor_calls) {
        // No kernel can hide the first chunk of the two gathers or the last of the two sums, nor
        // backward the first chunk of two gathers; nor can all kernels hide what takes longer.
        double const rows = real(parallel::budgets.divided_rows.load());
        double const chunks = std::max(1.0, std::floor(s.tokens() / rows));
        auto const& own = kernels.cost();
        forward = std::max(forward / chunks, forward - own.forward.device);
        backward = std::max(2 * gather / chunks,
                            backward - own.input_gradient.device - own.weight_gradient.device);
    }
    kernels.collective(forward, backward, sp ? 4 : 2, w.layout.tensor);
}

/// Ring attention: keys and values travel around.
void add_context_calls(Kernels& kernels, Setting const& s) {
    auto const& w = s.workload;
    if (w.layout.context == 1) return;
    double const t = real(w.layout.tensor), c = real(w.layout.context);
    double const bytes = 2 * s.tokens() * c * real(2 * w.model.kv_width()) / t;
    double const gather = all_gather_seconds(s.context_group(), s.machine, bytes);
    kernels.collective(0.3 * gather, 0.6 * gather, c, w.layout.context);
}

} // namespace

double PassCost::seconds() const {
    constexpr double kSharpness = 5;
    double const busy = device + collective, most = std::max(busy, host);
    if (most <= 0) return 0;
    double const ratio = std::min(busy, host) / most;
    return most * std::pow(1 + std::pow(ratio, kSharpness), 1 / kSharpness);
}

double Setting::tokens() const {
    return workload.tokens();
}

Group Setting::data_group() const {
    auto const& l = workload.layout;
    return {l.data * l.context, l.tensor};
}

Group Setting::replica_group() const {
    auto const& l = workload.layout;
    return {l.data * l.context / l.shard, l.tensor * l.shard};
}

Group Setting::shard_group() const {
    auto const& l = workload.layout;
    return {l.shard, l.tensor};
}

PartCost layer_cost(Setting const& s) {
    Kernels kernels(s);
    add_products(kernels, s);
    add_attention(kernels, s);
    add_elementwise(kernels, s);
    add_tensor_calls(kernels, s);
    add_context_calls(kernels, s);
    auto const& w = s.workload;
    kernels.launches(kLayerKernels - (w.flash_attention ? kFusedAttentionSaves : 0) +
                     (w.model.gated ? kGatedKernels : 0));
    return kernels.cost();
}

PartCost embedding_cost(Setting const& s) {
    Kernels kernels(s);
    double const rows = s.tokens() * real(s.workload.model.hidden);
    kernels.traffic(8 * rows, 12 * rows);
    kernels.launches(8);
    if (s.workload.layout.tensor > 1)
        kernels.collective(all_reduce_seconds(s.tensor_group(), s.machine, 2 * rows), 0, 1,
                           s.workload.layout.tensor);
    return kernels.cost();
}

PartCost head_cost(Setting const& s) {
    Kernels kernels(s);
    auto const& m = s.workload.model;
    double const t = real(s.workload.layout.tensor), n = s.tokens();
    double const columns = real(m.vocabulary) / t;
    kernels.product(n, columns, real(m.hidden));
    kernels.accumulate(m.embedding_parameters() / t);
    kernels.traffic(24 * n * columns, 14 * n * columns);
    kernels.traffic(8 * n * real(m.hidden), 10 * n * real(m.hidden));
    kernels.launches(20);
    if (s.workload.layout.tensor > 1) {
        double const rows = 2 * n * real(m.hidden);
        kernels.collective(3 * all_reduce_seconds(s.tensor_group(), s.machine, 4 * n),
                           all_reduce_seconds(s.tensor_group(), s.machine, rows), 3,
                           s.workload.layout.tensor);
    }
    return kernels.cost();
}

} // namespace trireme::framework::planning
