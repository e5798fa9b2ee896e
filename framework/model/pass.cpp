#include "framework/model/pass.hpp"

#include <algorithm>
#include <utility>

namespace trireme::framework {

namespace {
/// Labels, or as many that are ignored.
std::int64_t* pack_labels(std::vector<std::int32_t> const& labels, std::int64_t count,
                          std::int64_t* out) {
    return labels.empty() ? std::fill_n(out, count, std::int64_t{data::kIgnoredLabel})
                          : std::ranges::copy(labels, out).out;
}
} // namespace

std::int64_t packed_ids(data::Slot const& slot) {
    return kIdsOfAToken * slot.token_count() + 2 * slot.sample_count() + 1;
}

void pack_ids(data::Slot const& slot, std::int64_t* out) {
    out = std::ranges::copy(slot.tokens, out).out;
    out = std::ranges::copy(slot.positions, out).out;
    out = std::ranges::copy(slot.segments, out).out;
    for (std::size_t i = 0; i < slot.sample_ids.size(); ++i)
        out = std::fill_n(out, slot.offsets[i + 1] - slot.offsets[i], slot.sample_ids[i]);
    out = pack_labels(slot.token_labels, slot.token_count(), out);
    out = pack_labels(slot.sample_labels, slot.sample_count(), out);
    std::ranges::copy(slot.offsets, out);
}

SlotIds view_ids(at::Tensor const& packed, data::Slot const& slot) {
    std::int64_t const t = slot.token_count(), n = slot.sample_count();
    std::int64_t at = 0;
    auto const next = [&](std::int64_t count) {
        return packed.narrow(0, std::exchange(at, at + count), count);
    };
    SlotIds ids;
    for (auto* row : {&ids.tokens, &ids.positions, &ids.segments, &ids.samples, &ids.token_labels})
        *row = next(t);
    ids.sample_labels = next(n);
    ids.offsets = next(n + 1);
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

} // namespace trireme::framework
