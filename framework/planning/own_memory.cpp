#include "framework/planning/own_memory.hpp"

#include <algorithm>

#include "framework/planning/real.hpp"
#include "framework/planning/stage_plan.hpp"
#include "parallel/budgets.hpp"
#include "parallel/flat_layout.hpp"
#include "parallel/layer_split.hpp"

namespace trireme::framework::planning {

namespace {

using parallel::Axis;

/// A unit as a stage has it.
struct UnitShare {
    double elements = 0; ///< of its flat buffer
    int uses = 1;
};

UnitShare share_of(std::vector<std::int64_t> const& counts, int parts, int uses = 1) {
    if (counts.empty()) return {};
    return {real(parallel::lay_out(counts, parts).total), uses};
}

/// Sums what [Note: who keeps what] of parallel/parameter_store.hpp says.
class Store {
  public:
    explicit Store(OwnLayout const& layout)
        : zero_(layout.section.zero), shard_(real(layout.mesh[Axis::shard])),
          master_(layout.compute == parallelize::Compute::fp64 ? 8 : 4),
          copy_(layout.compute == parallelize::Compute::bf16 ? 2 : master_),
          host_state_(layout.host_state), models_(layout.base ? 2 : 1),
          states_(layout.average ? 3 : 2) {}

    void add(OwnMemory& memory, UnitShare const& unit) const {
        double const n = unit.elements, kept = zero_ > 0 ? n / shard_ : n;
        bool const shared = copy_ == master_ && zero_ < 3 && !host_state_;
        memory.weights +=
            models_ * ((zero_ < 3 ? n * copy_ : 0) + (shared || host_state_ ? 0 : kept * master_));
        memory.gradients += (zero_ < 2 ? n : kept) * master_ * unit.uses;
        memory.optimizer += host_state_ ? 0 : states_ * kept * master_;
    }
    /// Bytes that come and go: two gathered units, one micro-batch's gradient and those that wait.
    double buffers(double layer, double largest) const {
        double const waiting = static_cast<double>(parallel::budgets.reductions.load());
        double const gathered = zero_ == 3 ? (layer + largest) * copy_ : 0;
        double const gradients =
            zero_ >= 2 ? (largest + waiting * layer * (1 + 1 / shard_)) * master_ : 0;
        return gathered + gradients;
    }

  private:
    int zero_;
    double shard_, master_, copy_;
    bool host_state_;
    double models_, states_; ///< models that have weights; moments and averages of one
};

int layers_of_stage(std::vector<int> const& parts, int stages, int stage) {
    int layers = 0;
    for (auto i = static_cast<std::size_t>(stage); i < parts.size();
         i += static_cast<std::size_t>(stages))
        layers += parts[i];
    return layers;
}

OwnMemory stage_memory(OwnLayout const& l, BlockProfile const& p, int stage, int layers) {
    int const stages = l.mesh[Axis::pipeline], chunks = l.section.virtual_stages,
              parts = l.mesh[Axis::replicate] * l.mesh[Axis::shard];
    bool const first = stage == 0, last = stage == stages - 1;
    Store const store(l);
    OwnMemory memory;
    UnitShare const layer = share_of(p.layer, parts);
    for (int i = 0; i < layers; ++i) store.add(memory, layer);
    if (first) store.add(memory, share_of(p.embeddings, parts));
    if (last) store.add(memory, share_of(p.head, parts));
    if (first || last) store.add(memory, share_of(p.tied, parts, first && last ? 2 : 1));
    double const ends = std::max(first ? share_of(p.embeddings, parts).elements : 0,
                                 last ? share_of(p.head, parts).elements : 0);
    memory.buffers = store.buffers(layer.elements, std::max(layer.elements, ends));
    double const flying =
        real(chunks_in_flight(l.section.schedule, {stages, chunks}, stage, l.micro_steps)) /
        real(chunks);
    memory.activations = flying * real(layers) * p.saved_layer +
                         (flying * real(chunks) - 1) * p.boundary +
                         std::max(p.layer_extra, last ? p.head_extra : 0);
    if (l.section.schedule == parallel::ScheduleKind::zero_bubble)
        memory.activations += real(layers) / real(chunks) * p.layer_again;
    // The head makes its weight gradient in the forward pass: in a buffer of each micro-batch where
    // its backward pass does not come at once. Of them the profile may have one.
    bool const waits = l.section.schedule == parallel::ScheduleKind::zero_bubble ||
                       l.section.schedule == parallel::ScheduleKind::gpipe;
    if (last && waits)
        memory.activations += (flying - (p.head_in_place ? 0 : 1)) * 4 *
                              (share_of(p.head, parts).elements + share_of(p.tied, parts).elements);
    memory.data = p.data * real(l.micro_steps);
    return memory;
}

} // namespace

std::vector<OwnMemory> own_memory(OwnLayout const& layout, BlockProfile const& profile) {
    int const stages = layout.mesh[Axis::pipeline];
    auto const parts = parallel::layers_of_parts(
        layout.layers, stages, layout.section.virtual_stages, layout.section.layers);
    std::vector<OwnMemory> memory;
    for (int stage = 0; stage < stages; ++stage)
        memory.push_back(
            stage_memory(layout, profile, stage, layers_of_stage(parts, stages, stage)));
    return memory;
}

} // namespace trireme::framework::planning
