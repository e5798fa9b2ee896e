#include "framework/model/pass.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "framework/model/token_rows.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/memory_class.hpp"

namespace trireme::framework::model {

namespace {

/// Words that the offsets fill as int32.
std::int64_t words_of_cuts(data::MicroBatch const& micro_batch) {
    return (micro_batch.sample_count() + 2) / 2;
}

} // namespace

std::int64_t packed_ids(data::MicroBatch const& micro_batch) {
    std::int64_t words = kIdsOfAToken * micro_batch.token_count() + micro_batch.sample_count() + 1 +
                         words_of_cuts(micro_batch);
    micro_batch.columns.each([&](auto const& column) { words += std::ssize(column.values); });
    return words;
}

void pack_ids(data::MicroBatch const& micro_batch, std::int64_t* out) {
    out = std::ranges::copy(micro_batch.tokens, out).out;
    out = std::ranges::copy(micro_batch.positions, out).out;
    out = std::ranges::copy(micro_batch.segments, out).out;
    for (std::size_t i = 0; i < micro_batch.sample_ids.size(); ++i)
        out = std::fill_n(out, micro_batch.offsets[i + 1] - micro_batch.offsets[i],
                          micro_batch.sample_ids[i]);
    out = std::ranges::copy(micro_batch.offsets, out).out;
    std::vector<std::int32_t> cuts(micro_batch.offsets.begin(), micro_batch.offsets.end());
    cuts.resize(static_cast<std::size_t>(2 * words_of_cuts(micro_batch)));
    std::memcpy(out, cuts.data(), cuts.size() * sizeof(std::int32_t));
    out += words_of_cuts(micro_batch);
    for (auto const& column : micro_batch.columns.labels)
        out = std::ranges::copy(column.values, out).out;
    for (auto const& column : micro_batch.columns.reals)
        for (float const value : column.values)
            *out++ = std::bit_cast<std::int64_t>(static_cast<double>(value));
}

MicroBatchIds view_ids(at::Tensor const& packed, data::MicroBatch const& micro_batch) {
    std::int64_t const t = micro_batch.token_count();
    std::int64_t at = 0;
    auto const next = [&](std::int64_t count) {
        return packed.narrow(0, std::exchange(at, at + count), count);
    };
    MicroBatchIds ids;
    for (auto* row : {&ids.tokens, &ids.positions, &ids.segments, &ids.samples}) *row = next(t);
    ids.offsets = next(micro_batch.sample_count() + 1);
    ids.cuts = next(words_of_cuts(micro_batch)).view(at::kInt).narrow(0, 0, ids.offsets.size(0));
    micro_batch.columns.each([&]<typename T>(data::Column<T> const& column) {
        at::Tensor values = next(std::ssize(column.values));
        if constexpr (std::is_floating_point_v<T>) values = values.view(at::kDouble);
        ids.columns[column.name] =
            column.width > 1 ? values.view({-1, column.width}) : std::move(values);
    });
    return ids;
}

at::Tensor on_device(std::vector<std::int64_t> const& numbers, at::Device device) {
    at::Tensor const host = at::tensor(numbers, at::kLong);
    if (device.is_meta() && parallel::dry_gpu)
        return at::empty({std::ssize(numbers)}, at::TensorOptions(at::kLong).device(device));
    // A dry run picks nothing with them.
    return device.is_cpu() || device.is_meta() ? host : host.pin_memory().to(device, true);
}

Pass make_pass(data::MicroBatch micro_batch, bool training, std::uint64_t seed, std::int64_t step,
               double loss_scale, at::Device device) {
    parallel::AllocatingFor const data(parallel::MemoryClass::data);
    std::vector<std::int64_t> packed(static_cast<std::size_t>(packed_ids(micro_batch)));
    pack_ids(micro_batch, packed.data());
    MicroBatchIds ids = view_ids(on_device(packed, device), micro_batch);
    return {std::move(micro_batch), std::move(ids), training, seed, step, loss_scale};
}

void Results::read_back() {
    for (auto const& read : std::exchange(waiting, {})) read(*this);
}

at::Tensor position_rows(Pass const& pass, std::int64_t offset) {
    if (offset == 0) return pass.ids.positions;
    auto const pad = offset - 1;
    auto const& tokens = pass.micro_batch.tokens;
    if (std::ranges::find(tokens, pad) == tokens.end()) return pass.ids.positions + offset;
    return on_device(rows_beside_padding(pass.micro_batch, pad), pass.ids.positions.device());
}

} // namespace trireme::framework::model
