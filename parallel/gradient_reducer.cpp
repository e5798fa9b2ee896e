#include "parallel/gradient_reducer.hpp"

#include <algorithm>
#include <utility>

#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/group_names.hpp"
#include "parallel/memory_class.hpp"
#include "parallel/micro_batch_ranks.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

namespace {

/// Each tensor rank's gradient is a part of the sum: sequence parallelism, or shared key and value
/// heads.
bool is_partial(Parameter const& p) {
    bool const shared_heads = p.spec().cut.share == TensorCut::Share::copy;
    return p.slice().copies > 1 && (p.spec().partial || shared_heads);
}

/// On a GPU a group of its own for gradients that go to their owners; null elsewhere.
std::unique_ptr<cluster::Communicator> group_for_gradients(ParameterStore const& store,
                                                           Mesh const& mesh) {
    auto& shard = mesh.along(Axis::shard);
    auto const& options = store.options();
    bool const needed = options.gradients && !options.separate_micro_batches && options.zero > 0 &&
                        shard.size() > 1;
    if (!needed || !composed(at::empty({0}, options.device))) return nullptr;
    return shard.split(0, shard.rank(), std::string(kGradients));
}

} // namespace

GradientReducer::GradientReducer(ParameterStore& store, Mesh const& mesh)
    : store_(store), mesh_(mesh), data_(mesh.data()), own_group_(group_for_gradients(store, mesh)),
      shard_(own_group_ ? *own_group_ : mesh.along(Axis::shard)) {
    auto& tensor = mesh.along(Axis::tensor);
    for (auto const& p : store.parameters())
        if (p->slice().copies > 1) sharers_[p->slice().copies];
    for (auto& [copies, group] : sharers_)
        group = tensor.split(tensor.rank() / copies, tensor.rank(), tensor_sharers(copies));
}

void GradientReducer::divide(std::int64_t micro_batches) {
    micro_batches_ = micro_batches;
    micro_steps_ = micro_steps_of(micro_batches, data_.size());
}

void GradientReducer::begin_step(std::int64_t micro_batches) {
    divide(micro_batches);
    store_.begin_step();
}

bool GradientReducer::has_micro_batch(std::int64_t micro_step) const {
    return micro_batch_in(micro_step, data_.rank(), data_.size()) < micro_batches_;
}

std::int64_t GradientReducer::micro_batches_in(std::int64_t micro_step) const {
    return std::min<std::int64_t>(data_.size(),
                                  micro_batches_ - micro_batch_in(micro_step, 0, data_.size()));
}

void GradientReducer::unit_done(std::size_t index, std::int64_t micro_step) {
    Unit& unit = *store_.units()[index];
    if (!unit.trainable) return;
    if (has_micro_batch(micro_step)) store_.check_all_delivered(index);
    if (store_.options().separate_micro_batches) {
        fold(unit, micro_step);
    } else if (bool const last = micro_step == micro_steps_ - 1; !unit.current_is_total) {
        reduce(unit, last);
    } else if (last) {
        store_.zero_undelivered(index);
        reduce(unit, last);
    } else {
        unit.close_micro_batch();
    }
    poll(); // Open MPI moves data only while it is polled
}

void GradientReducer::reduce(Unit& unit, bool last) {
    AllocatingFor const arriving(MemoryClass::communication);
    std::vector<at::Tensor> const buffers = unit.close_micro_batch();
    for (std::size_t use = 0; use < buffers.size(); ++use)
        if (store_.options().zero == 0)
            reduce_to_all(unit, use, buffers[use], last);
        else
            reduce_to_owners(unit, use, buffers[use], last);
    bool const goes_on = store_.options().zero > 0 && mesh_.along(Axis::replicate).size() > 1;
    if (unit.current_is_total && !goes_on) return;
    // A sum over replicas can hide behind the backward pass only if it starts soon. On a GPU that
    // costs nothing, since the host does not wait for the reduction before it.
    std::size_t const most = goes_on && own_group_ ? 1 : budgets.reductions.load();
    while (in_flight_.size() > most) complete_first();
}

void GradientReducer::reduce_to_all(Unit& unit, std::size_t use, at::Tensor const& buffer,
                                    bool last) {
    PackedRows packed = pack_rows(unit, buffer, data_);
    at::Tensor const source = packed.values.defined() ? packed.values : buffer;
    in_flight_.push_back(
        {&unit,
         use,
         last,
         source,
         {},
         data_.all_reduce(buffer_of(source), cluster::ReduceOp::sum, "gradient/" + unit.name),
         std::move(packed)});
}

void GradientReducer::reduce_to_owners(Unit& unit, std::size_t use, at::Tensor const& buffer,
                                       bool last) {
    at::Tensor const source =
        buffer.defined() ? buffer : unit.total[use].new_zeros({unit.layout.total});
    at::Tensor const arrived =
        unit.current_is_total ? at::Tensor() : unit.total[use].new_empty({unit.end - unit.begin});
    at::Tensor const kept = arrived.defined() ? arrived : unit.kept_gradient(use);
    in_flight_.push_back({&unit, use, last, source, arrived,
                          shard_.reduce_scatter(buffer_of(source), buffer_of(kept),
                                                cluster::ReduceOp::sum, "gradient/" + unit.name)});
}

void GradientReducer::complete_first() {
    auto& first = in_flight_.front();
    parallel::finish(first.work, first.source);
    if (first.packed.values.defined()) first.packed.unpack(first.unit->total[first.use]);
    if (first.arrived.defined()) first.unit->total[first.use].add_(first.arrived);
    if (first.last && store_.options().zero > 0) add_over_replicas(*first.unit, first.use);
    in_flight_.pop_front();
}

void GradientReducer::add_over_replicas(Unit& unit, std::size_t use) {
    auto& replicas = mesh_.along(Axis::replicate);
    if (replicas.size() == 1) return;
    at::Tensor const kept = unit.kept_gradient(use);
    over_replicas_.push_back(
        {&unit,
         use,
         true,
         kept,
         {},
         replicas.all_reduce(buffer_of(kept), cluster::ReduceOp::sum, "gradient/" + unit.name)});
}

void GradientReducer::poll() {
    for (auto& flight : over_replicas_) flight.work.done();
    for (auto& flight : in_flight_) flight.work.done();
    // What comes after a completion starts in one order with other calls, on every rank: not when
    // this rank happens to see it.
    if (mesh_.along(Axis::replicate).size() > 1) return;
    while (!in_flight_.empty() && in_flight_.front().work.done()) complete_first();
}

void GradientReducer::complete_all() {
    while (!in_flight_.empty()) complete_first();
    for (auto& flight : over_replicas_) parallel::finish(flight.work, flight.source);
    over_replicas_.clear();
}

void GradientReducer::fold(Unit& unit, std::int64_t micro_step) {
    AllocatingFor const arriving(MemoryClass::communication);
    std::int64_t const part = unit.layout.part_size(), senders = micro_batches_in(micro_step);
    auto const d = static_cast<std::size_t>(data_.size());
    std::vector<std::size_t> const send(
        d, has_micro_batch(micro_step) ? static_cast<std::size_t>(part) : 0);
    std::vector<std::size_t> receive(d, 0);
    std::fill_n(receive.begin(), senders, static_cast<std::size_t>(part));
    std::vector<at::Tensor> const buffers = unit.close_micro_batch();
    for (std::size_t use = 0; use < buffers.size(); ++use) {
        at::Tensor const pieces = unit.total[use].new_empty({senders * part});
        at::Tensor const source =
            buffers[use].defined() ? buffers[use] : unit.total[use].new_empty({0});
        parallel::finish(data_.all_to_all(buffer_of(source), send, buffer_of(pieces), receive,
                                          "gradient/" + unit.name),
                         pieces);
        at::Tensor owned = unit.gradient_range(use, store_.options().place.part() * part, part);
        for (std::int64_t s = 0; s < senders; ++s) owned.add_(pieces.narrow(0, s * part, part));
    }
}

void GradientReducer::gather_folded(Unit& unit) {
    // The parts of a kept range lie together, by rank on the replicate axis; ZeRO 0 keeps all
    // parts.
    auto& group = store_.options().zero == 0 ? data_ : mesh_.along(Axis::replicate);
    std::int64_t const part = unit.layout.part_size();
    for (std::size_t use = 0; use < unit.total.size(); ++use) {
        at::Tensor const kept = unit.kept_gradient(use);
        at::Tensor const own = kept.narrow(0, group.rank() * part, part);
        parallel::finish(group.all_gather(buffer_of(own), buffer_of(kept), "gradient/" + unit.name),
                         kept);
    }
}

void GradientReducer::add_uses(Unit& unit) {
    // Tied weights: each use was summed over all micro-batches apart; they are added once, in the
    // order of the uses.
    for (std::size_t use = 1; use < unit.total.size(); ++use) unit.total[0].add_(unit.total[use]);
}

void GradientReducer::add_over_stages(Unit& unit) {
    auto const& spec = unit.parameters.front()->spec();
    if (spec.peer_stage < 0) return;
    auto& stages = mesh_.along(Axis::pipeline);
    at::Tensor const mine = unit.kept_gradient();
    at::Tensor const other = spec.owned ? at::empty_like(mine) : at::Tensor();
    cluster::Message const message{spec.owned ? cluster::Message::Kind::receive
                                              : cluster::Message::Kind::send,
                                   spec.peer_stage, buffer_of(spec.owned ? other : mine)};
    parallel::finish(stages.exchange({&message, 1}, "gradient/" + unit.name), mine);
    if (spec.owned) unit.kept_gradient().add_(other);
}

void GradientReducer::add_over_tensor_ranks() {
    for (auto const& [copies, group] : sharers_) {
        std::vector<at::Tensor> parts;
        for (auto const& unit : store_.units()) {
            if (!unit->trainable || !unit->owned) continue;
            for (auto const& s : stretches(*unit, unit->begin, unit->end))
                if (s.parameter->slice().copies == copies && is_partial(*s.parameter) &&
                    s.parameter->spec().trainable)
                    parts.push_back(unit->kept_gradient().narrow(0, s.at - unit->begin, s.count));
        }
        if (parts.empty()) continue;
        at::Tensor const mine = at::cat(parts), all = mine.new_empty({copies, mine.size(0)});
        parallel::finish(
            group->all_gather(buffer_of(mine), buffer_of(all), "gradient/tensor sharers"), all);
        at::Tensor const sum = all[0].clone();
        for (int r = 1; r < copies; ++r) sum.add_(all[r]);
        std::int64_t at = 0;
        for (auto& part : parts) {
            part.copy_(sum.narrow(0, at, part.size(0)));
            at += part.size(0);
        }
    }
}

void GradientReducer::finish() {
    AllocatingFor const arriving(MemoryClass::communication);
    complete_all();
    auto const& options = store_.options();
    for (auto& unit : store_.units()) {
        if (!unit->trainable) continue;
        if (options.separate_micro_batches) gather_folded(*unit);
        add_uses(*unit);
        add_over_stages(*unit);
    }
    add_over_tensor_ranks();
}

} // namespace trireme::parallel
