#include "framework/model/pass.hpp"

#include <algorithm>
#include <bit>
#include <type_traits>
#include <utility>

namespace trireme::framework::model {

std::int64_t packed_ids(data::Slot const& slot) {
    std::int64_t words = kIdsOfAToken * slot.token_count() + slot.sample_count() + 1;
    slot.columns.each([&](auto const& column) { words += std::ssize(column.values); });
    return words;
}

void pack_ids(data::Slot const& slot, std::int64_t* out) {
    out = std::ranges::copy(slot.tokens, out).out;
    out = std::ranges::copy(slot.positions, out).out;
    out = std::ranges::copy(slot.segments, out).out;
    for (std::size_t i = 0; i < slot.sample_ids.size(); ++i)
        out = std::fill_n(out, slot.offsets[i + 1] - slot.offsets[i], slot.sample_ids[i]);
    out = std::ranges::copy(slot.offsets, out).out;
    for (auto const& column : slot.columns.labels) out = std::ranges::copy(column.values, out).out;
    for (auto const& column : slot.columns.reals)
        for (float const value : column.values)
            *out++ = std::bit_cast<std::int64_t>(static_cast<double>(value));
}

SlotIds view_ids(at::Tensor const& packed, data::Slot const& slot) {
    std::int64_t const t = slot.token_count();
    std::int64_t at = 0;
    auto const next = [&](std::int64_t count) {
        return packed.narrow(0, std::exchange(at, at + count), count);
    };
    SlotIds ids;
    for (auto* row : {&ids.tokens, &ids.positions, &ids.segments, &ids.samples}) *row = next(t);
    ids.offsets = next(slot.sample_count() + 1);
    slot.columns.each([&]<typename T>(data::Column<T> const& column) {
        at::Tensor values = next(std::ssize(column.values));
        if constexpr (std::is_floating_point_v<T>) values = values.view(at::kDouble);
        ids.columns[column.name] =
            column.width > 1 ? values.view({-1, column.width}) : std::move(values);
    });
    return ids;
}

at::Tensor on_device(std::vector<std::int64_t> const& numbers, at::Device device) {
    at::Tensor const host = at::tensor(numbers, at::kLong);
    // A dry run picks nothing with them.
    return device.is_cpu() || device.is_meta() ? host : host.pin_memory().to(device, true);
}

Pass make_pass(data::Slot slot, bool training, std::uint64_t seed, std::int64_t step,
               double loss_scale, at::Device device) {
    std::vector<std::int64_t> packed(static_cast<std::size_t>(packed_ids(slot)));
    pack_ids(slot, packed.data());
    SlotIds ids = view_ids(on_device(packed, device), slot);
    return {std::move(slot), std::move(ids), training, seed, step, loss_scale};
}

void Results::read_back() {
    for (auto const& read : std::exchange(waiting, {})) read(*this);
}

} // namespace trireme::framework::model
