#include "framework/train/value_faults.hpp"

#include <limits>

#include "cluster/fault.hpp"

namespace trireme::framework::train {

namespace {

void strike_gradient(parallel::ParameterStore& store) {
    if (!cluster::fault_point("step/gradient")) return;
    for (auto const& unit : store.units()) {
        std::int64_t const part = unit->layout.part_size(),
                           begin = store.options().place.part() * part;
        for (auto const& s : parallel::stretches(*unit, begin, begin + part)) {
            if (s.parameter->touched_rows().defined()) continue; // its first row may not be read
            unit->gradient_range(0, s.at, 1).fill_(std::numeric_limits<double>::quiet_NaN());
            return;
        }
    }
}

void strike_weights(parallel::ParameterStore& store) {
    auto const fault = cluster::fault_point("step/weights");
    if (!fault) return;
    at::Tensor const here = store.units().front()->master.cpu();
    auto* const bytes = static_cast<std::uint8_t*>(here.mutable_data_ptr());
    auto const bit = static_cast<std::size_t>(fault->value);
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1U << bit % 8));
    store.units().front()->master.copy_(here);
}

} // namespace

void strike_values(parallel::ParameterStore& store, at::Tensor const& losses) {
    strike_gradient(store);
    if (cluster::fault_point("step/loss")) losses.mul_(1000);
    strike_weights(store);
}

} // namespace trireme::framework::train
