#include "parallel/weight_gatherer.hpp"

#include "cluster/error.hpp"
#include "parallel/memory_class.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

WeightGatherer::WeightGatherer(ParameterStore& store, Mesh const& mesh)
    : store_(store), mesh_(mesh), shard_(mesh.along(Axis::shard)) {}

void WeightGatherer::copy_over_stages(Unit& unit) {
    auto const& spec = unit.parameters.front()->spec();
    if (spec.peer_stage < 0) return;
    // Offloaded weights go by the device: copies back from the update are still queued there, and
    // the host sees none of them before it has waited.
    bool const offloaded = store_.options().host_state;
    at::Tensor const values =
        offloaded ? unit.master.to(store_.options().device, unit.master.scalar_type(), true)
                  : unit.master;
    cluster::Message const message{spec.owned ? cluster::Message::Kind::send
                                              : cluster::Message::Kind::receive,
                                   spec.peer_stage, buffer_of(values)};
    finish(mesh_.along(Axis::pipeline).exchange({&message, 1}, "weight/" + unit.name), values);
    if (offloaded && !spec.owned) unit.master.copy_(values, true);
}

void WeightGatherer::refresh() {
    enter_place({"refresh"});
    for (auto const& unit : store_.units())
        if (unit->state == Unit::State::gathering)
            throw cluster::JobError("weights of " + unit->name +
                                    " are renewed while a pass still gathers them");
    AllocatingFor const buffers(MemoryClass::buffers);
    for (auto& unit : store_.units()) copy_over_stages(*unit);
    store_.refresh_compute();
    if (store_.options().zero != 1 && store_.options().zero != 2) return;
    for (auto& unit : store_.units()) {
        unit->state = Unit::State::sharded;
        unit->show_compute();
    }
}

void WeightGatherer::gather(std::size_t index) {
    Unit& unit = *store_.units()[index];
    AllocatingFor const buffers(MemoryClass::buffers);
    bool const fresh = !unit.compute.defined();
    if (fresh)
        unit.compute = at::empty(
            {unit.layout.total},
            at::TensorOptions().dtype(store_.options().compute).device(store_.options().device));
    at::Tensor kept = unit.compute.narrow(0, unit.begin, unit.end - unit.begin);
    // Offloaded weights are copied in the order of the device: the host would cast at once.
    if (fresh) kept.copy_(unit.master, true);
    in_flight_.emplace(
        index, shard_.all_gather(buffer_of(kept), buffer_of(unit.compute), "weight/" + unit.name));
    unit.state = Unit::State::gathering;
}

void WeightGatherer::prefetch(std::size_t index) {
    if (store_.units()[index]->state != Unit::State::sharded) return;
    if (store_.options().zero == 3) return gather(index);
    // There is memory for all of them, so that the network need not wait for the passes.
    for (std::size_t u = 0; u < store_.units().size(); ++u)
        if (store_.units()[u]->state == Unit::State::sharded) gather(u);
}

void WeightGatherer::acquire(std::size_t index) {
    prefetch(index);
    Unit& unit = *store_.units()[index];
    if (unit.state != Unit::State::gathering) return;
    auto const work = in_flight_.find(index);
    finish(work->second, unit.compute);
    in_flight_.erase(work);
    unit.state = Unit::State::unsharded;
    unit.show_compute();
}

void WeightGatherer::release(std::size_t index) {
    Unit& unit = *store_.units()[index];
    if (store_.options().zero < 3 || unit.state != Unit::State::unsharded) return;
    unit.compute = at::Tensor();
    unit.state = Unit::State::sharded;
    unit.show_compute();
}

} // namespace trireme::parallel
