#include "parallel/gradient_reducer.hpp"

#include <algorithm>

#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

GradientReducer::GradientReducer(ParameterStore& store, cluster::Communicator& data) : store_(store), data_(data) {
    std::int64_t largest = 0;
    for (auto const& unit : store_.units()) largest = std::max(largest, unit.layout.total);
    if (store_.options().separate_slots)
        received_ = at::empty({largest}, at::TensorOptions().dtype(store_.master_dtype()));
}

void GradientReducer::begin_step(std::int64_t slots) {
    slots_ = slots;
    micro_steps_ = (slots + data_.size() - 1) / data_.size();
    store_.begin_step();
}

bool GradientReducer::has_slot(std::int64_t micro_step) const {
    return micro_step * data_.size() + data_.rank() < slots_;
}

std::int64_t GradientReducer::slots_in(std::int64_t micro_step) const {
    return std::min<std::int64_t>(data_.size(), slots_ - micro_step * data_.size());
}

void GradientReducer::unit_done(std::size_t index, std::int64_t micro_step) {
    Unit& unit = store_.units()[index];
    if (!unit.trainable) return;
    if (has_slot(micro_step)) store_.check_all_delivered(index);
    if (store_.options().separate_slots) {
        fold(unit, micro_step);
    } else if (micro_step == micro_steps_ - 1) {
        store_.zero_undelivered(index);
        for (auto const& total : unit.total)
            in_flight_.push_back(data_.all_reduce(buffer_of(total), cluster::ReduceOp::sum, "gradient/" + unit.name));
    }
    for (auto& work : in_flight_) work.done(); // Open MPI moves data only while it is polled
}

void GradientReducer::fold(Unit& unit, std::int64_t micro_step) {
    std::int64_t const part = unit.layout.part_size();
    std::vector<std::size_t> const counts(static_cast<std::size_t>(data_.size()), static_cast<std::size_t>(part));
    for (std::size_t use = 0; use < unit.total.size(); ++use) {
        at::Tensor const pieces = received_.narrow(0, 0, unit.layout.total);
        data_.all_to_all(buffer_of(unit.slot[use]), counts, buffer_of(pieces), counts, "gradient/" + unit.name).wait();
        at::Tensor owned = unit.total[use].narrow(0, data_.rank() * part, part);
        for (std::int64_t s = 0; s < slots_in(micro_step); ++s) owned.add_(pieces.narrow(0, s * part, part));
    }
}

void GradientReducer::finish() {
    for (auto& work : in_flight_) work.wait();
    in_flight_.clear();
    for (auto& unit : store_.units()) {
        if (!unit.trainable) continue;
        if (store_.options().separate_slots) {
            std::int64_t const part = unit.layout.part_size();
            for (auto const& total : unit.total)
                data_
                    .all_gather(buffer_of(total.narrow(0, data_.rank() * part, part)), buffer_of(total),
                                "gradient/" + unit.name)
                    .wait();
        }
        // Tied weights: each use was summed over all slots apart; they are added once, in the order of the uses.
        for (std::size_t use = 1; use < unit.total.size(); ++use) unit.total[0].add_(unit.total[use]);
    }
}

} // namespace trireme::parallel
