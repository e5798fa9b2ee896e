#include <algorithm>
#include <cmath>

#include "framework/kernels/attention.hpp"
#include "framework/planning/kernel_times.hpp"
#include "framework/planning/timing.hpp"

namespace trireme::framework::planning {

namespace {

/// Attention of samples of one length, on arrays of our own.
class AttentionRun {
  public:
    AttentionRun(AttentionKind const& kind, std::int64_t samples)
        : kind_(kind), samples_(samples), n_(samples * kind.sequence * kHeads * kind.size) {
        for (std::int64_t i = 0; i <= samples; ++i) offsets_.push_back(i * kind.sequence);
        ids_.assign(static_cast<std::size_t>(samples), 1);
        for (auto* x : {&q_, &k_, &v_, &out_, &dout_, &dq_, &dk_, &dv_})
            x->assign(static_cast<std::size_t>(n_), 0.1F);
        lse_.assign(static_cast<std::size_t>(samples * kind.sequence * kHeads), 1.0F);
    }
    double token_heads() const { return static_cast<double>(samples_ * kind_.sequence * kHeads); }
    void run() {
        kernels::AttentionProblem const p{offsets_.data(),
                                          ids_.data(),
                                          samples_,
                                          kHeads,
                                          kHeads,
                                          kind_.size,
                                          kind_.causal,
                                          0,
                                          1 / std::sqrt(static_cast<double>(kind_.size)),
                                          kernels::dropout_key(1, 1, 1, kind_.dropout ? 0.1 : 0)};
        if (kind_.backward)
            kernels::attention_backward(p, q_.data(), k_.data(), v_.data(), out_.data(),
                                        lse_.data(), dout_.data(), dq_.data(), dk_.data(),
                                        dv_.data());
        else
            kernels::attention_forward(p, q_.data(), k_.data(), v_.data(), out_.data(),
                                       lse_.data());
    }

  private:
    static constexpr std::int64_t kHeads = 4;
    AttentionKind kind_;
    std::int64_t samples_, n_;
    std::vector<std::int64_t> offsets_, ids_;
    std::vector<float> q_, k_, v_, out_, dout_, dq_, dk_, dv_, lse_;
};

} // namespace

std::vector<AttentionTime> time_attention(KernelPlan const& plan, cluster::Communicator& world) {
    constexpr std::int64_t kTokens = 1024;
    std::vector<AttentionTime> times;
    for (unsigned kind = 0; kind < 8; ++kind)
        for (auto const sequence : plan.sequences)
            for (auto const size : plan.head_sizes)
                times.push_back(
                    {{(kind & 1U) != 0, (kind & 2U) != 0, (kind & 4U) != 0, sequence, size}, 0});
    std::vector<double> fastest;
    for (int round = 0; round < kTimingRounds; ++round) {
        std::vector<double> seconds;
        for (auto const& time : times) {
            AttentionRun run(time.kind, std::max<std::int64_t>(2, kTokens / time.kind.sequence));
            seconds.push_back(
                repeated([&](int) { run.run(); }, plan.seconds / kTimingRounds, world) /
                run.token_heads());
        }
        keep_fastest(fastest, seconds);
    }
    average(fastest, world);
    for (std::size_t i = 0; i < times.size(); ++i) times[i].seconds = fastest[i];
    return times;
}

} // namespace trireme::framework::planning
