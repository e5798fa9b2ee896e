#include "framework/planning/own_time.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::framework::planning {

namespace {

using parallel::Axis;
using parallelize::Offload;

// Where a machine's file says nothing. Rates of large matrix products reach 0.65 to 0.87 of the
// peak in the tables of published runs, ring collectives 0.65 of NVLink and 0.9 of InfiniBand
// (calculon, a100_80g.json).
constexpr double kMatrixEfficiency = 0.75, kMemoryEfficiency = 0.8, kLinkEfficiency = 0.65,
                 kNetworkEfficiency = 0.9;
/// Share of the backward pass under which reductions of gradients hide.
constexpr double kOverlap = 0.5;
/// Bytes per second of a GPU's link to its host, PCIe 4 x16: assumed.
constexpr double kHostLink = 20e9;
/// Bytes that the kernels between two matrix products move for each number of their input.
constexpr double kElementwiseBytes = 60;
/// Bytes that an update moves for each parameter: master, two moments and the gradient, and back.
constexpr double kUpdateBytes = 30;

double real(std::int64_t n) {
    return static_cast<double>(n);
}
double known(double value, double otherwise) {
    return value > 0 ? value : otherwise;
}

double layer_parameters(ModelShape const& m) {
    double const attention = real(2 * m.attention_width() + 2 * m.kv_width());
    return real(m.hidden) * (attention + real(m.ffn) * (m.gated ? 3 : 2));
}
double embedding_parameters(ModelShape const& m) {
    return real(m.vocabulary) * real(m.hidden);
}

/// A group of ranks a ring goes round, `stride` ranks apart.
struct Ring {
    double bandwidth = 0, latency = 0; ///< bytes/s of a rank
    double size = 1;

    /// Time of an all-gather or reduce-scatter of an array of `bytes`, in `calls` calls.
    double seconds(double bytes, double calls = 1) const {
        if (size <= 1) return 0;
        return bytes * (size - 1) / size / bandwidth + calls * (size - 1) * latency;
    }
};

class Costs {
  public:
    Costs(OwnRun const& run, OwnPlan const& plan, MachineFile const& machine)
        : run_(run), plan_(plan), machine_(machine.machine), l_(plan.layout),
          t_(l_.mesh[Axis::tensor]), p_(l_.mesh[Axis::pipeline]), m_(real(l_.micro_steps)),
          chunks_(l_.section.virtual_stages) {
        Gpu const& gpu = machine_.gpu;
        flops_ = gpu.matrix_flops * known(gpu.matrix_efficiency, kMatrixEfficiency);
        bytes_ = gpu.memory_bandwidth * known(gpu.memory_efficiency, kMemoryEfficiency);
        tokens_ = real(plan.micro_batch * run.sequence);
        layers_ = std::ceil(real(run.model.layers) / p_);
    }

    StepTime time() const {
        StepTime time;
        double const layer = layer_forward(), head = head_forward();
        // forward, twice that backward, and what is computed again
        double const of_layers = layers_ * (3 * layer + again(layer));
        double const busiest = of_layers + 3 * head;
        time.compute = m_ * busiest;
        time.tensor_exposed = m_ * layers_ * layer_collectives();
        time.pipeline_exposed = p_ > 1 ? 2 * m_ * chunks_ * boundary() : 0;
        double const passes = time.compute + time.tensor_exposed + time.pipeline_exposed;
        time.bubble = passes * bubble();
        time.data_exposed = data_exposed(2 * of_layers / 3);
        time.optimizer = update();
        time.step = passes + time.bubble + time.data_exposed + time.optimizer;
        return time;
    }

  private:
    Ring ring(std::int64_t size, std::int64_t stride) const {
        auto const& m = machine_;
        double const node = real(m.gpus_per_node);
        if (size * stride <= m.gpus_per_node || m.nodes == 1)
            return {m.node_link.bandwidth * known(m.node_link.efficiency, kLinkEfficiency),
                    m.node_link.latency, real(size)};
        // Rings of the ranks of a node that are not in the group share its network with this one.
        double const share = std::min(node, std::max(1.0, real(stride)));
        return {m.network.bandwidth / share * known(m.network.efficiency, kNetworkEfficiency),
                m.network.latency, real(size)};
    }
    Ring tensor_ring() const { return ring(static_cast<std::int64_t>(t_), 1); }

    double layer_forward() const {
        double const products = 2 * tokens_ * layer_parameters(run_.model) / t_;
        return (products + scores()) / flops_ + elementwise();
    }
    /// Attention sees half of the pairs.
    double scores() const {
        return 2 * tokens_ * real(run_.sequence) * real(run_.model.attention_width()) / t_;
    }
    double elementwise() const {
        return kElementwiseBytes * tokens_ * real(run_.model.hidden) / t_ / bytes_;
    }
    double head_forward() const {
        return 2 * tokens_ * embedding_parameters(run_.model) / t_ / flops_;
    }
    double again(double layer) const {
        switch (l_.section.recompute) {
        case parallelize::Recompute::full: return layer;
        case parallelize::Recompute::selective: return scores() / flops_;
        case parallelize::Recompute::none: break;
        }
        return 0;
    }
    /// Two gathers and two reduce-scatters of [T, D] in either direction; full recomputation
    /// repeats those of the forward pass.
    double layer_collectives() const {
        double const calls = l_.section.recompute == parallelize::Recompute::full ? 12 : 8;
        return calls * tensor_ring().seconds(2 * tokens_ * real(run_.model.hidden));
    }
    /// Between stages each rank sends its part to one other, and those of a node share its network.
    double boundary() const {
        auto const stride = static_cast<std::int64_t>(t_) * data_ranks();
        Ring const link = ring(2, stride);
        return 2 * tokens_ * real(run_.model.hidden) / t_ / link.bandwidth + link.latency;
    }
    double bubble() const {
        double const share = (p_ - 1) / (chunks_ * m_);
        return l_.section.schedule == parallel::ScheduleKind::zero_bubble ? share / 3 : share;
    }
    std::int64_t data_ranks() const { return l_.mesh[Axis::replicate] * l_.mesh[Axis::shard]; }
    double stage_parameters() const {
        double const ends = p_ > 1 ? 1 : run_.model.tied ? 1 : 2;
        return (layers_ * layer_parameters(run_.model) + ends * embedding_parameters(run_.model)) /
               t_;
    }
    /// docs/collectives.md: gradients once a step, or once a micro-step under ZeRO 2 and 3; weights
    /// once a step, or twice a micro-step under ZeRO 3.
    double data_exposed(double backward) const {
        int const zero = l_.section.zero;
        auto const tensor = static_cast<std::int64_t>(t_);
        std::int64_t const shard = l_.mesh[Axis::shard], replicate = l_.mesh[Axis::replicate];
        double const psi = stage_parameters(), units = layers_ + 1;
        if (zero == 0)
            return hidden(2 * ring(data_ranks(), tensor).seconds(4 * psi, units), backward);
        Ring const own = ring(shard, tensor), others = ring(replicate, tensor * shard);
        double const reductions = zero >= 2 ? m_ : 1;
        double const copies = 2 * others.seconds(4 * psi / real(shard), units);
        double const gradients = reductions * hidden(own.seconds(4 * psi, units), backward);
        double const weights = zero == 3 ? 2 * m_ * hidden(own.seconds(2 * psi, units), backward)
                                         : own.seconds(2 * psi, units);
        return gradients + copies + weights;
    }
    static double hidden(double seconds, double compute) {
        return std::max(seconds - kOverlap * compute, (1 - kOverlap) * seconds);
    }
    double update() const {
        double const own =
            stage_parameters() / (l_.section.zero > 0 ? real(l_.mesh[Axis::shard]) : 1);
        double const moved = l_.host_state ? 24 * own / kHostLink : 0;
        return kUpdateBytes * own / bytes_ + moved;
    }

    OwnRun const& run_;
    OwnPlan const& plan_;
    Machine const& machine_;
    OwnLayout const& l_;
    double t_, p_, m_, chunks_, flops_ = 0, bytes_ = 0, tokens_ = 0, layers_ = 0;
};

} // namespace

ModelShape shape_of(model::Config const& m) {
    return {.hidden = m.hidden,
            .layers = m.layers,
            .heads = m.heads,
            .kv_heads = m.kv_heads,
            .head_dim = m.head_size,
            .ffn = m.feed_forward,
            .vocabulary = m.outputs() > m.vocabulary ? m.outputs() : m.vocabulary,
            .gated = m.gated,
            .tied = m.tied_embeddings};
}

StepTime own_time(OwnRun const& run, OwnPlan const& plan, MachineFile const& machine) {
    return Costs(run, plan, machine).time();
}

} // namespace trireme::framework::planning
