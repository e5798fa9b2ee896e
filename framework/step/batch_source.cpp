#include "framework/step/batch_source.hpp"

#include <algorithm>
#include <utility>

#include "parallel/tensor_place.hpp"

namespace trireme::framework::step {

namespace {
constexpr int kDepth = 2; ///< the batch that computes and the one after it
} // namespace

BatchSource::BatchSource(data::Dataset const& set, data::BatchShape const& shape,
                         parallel::Mesh const& mesh, std::uint64_t seed, at::Device device,
                         std::chrono::milliseconds deadline)
    : set_(set), shape_(shape), mesh_(mesh), seed_(seed), device_(device),
      stream_(parallel::place_of(at::empty({1}, at::TensorOptions().device(device))).stream),
      deadline_(deadline) {}

BatchSource::Ahead BatchSource::read(BatchPlace const& place) const {
    Ahead batch{place, data::plan_step(set_, shape_, seed_, place.cursor), {}};
    auto const ranks = static_cast<std::size_t>(mesh_.data().size());
    for (auto s = static_cast<std::size_t>(mesh_.data().rank()); s < batch.plan.slots.size();
         s += ranks)
        batch.slots.push_back(set_.read(batch.plan.slots[s], shape_.token_multiple));
    return batch;
}

std::size_t BatchSource::largest_batch() const {
    std::int64_t const ranks = mesh_.data().size(), slots = (shape_.samples + ranks - 1) / ranks;
    std::int64_t const full =
        std::max(shape_.tokens_per_slot, set_.longest()) + shape_.token_multiple;
    std::int64_t const tokens =
        std::min(slots * full, shape_.samples * set_.longest() + slots * shape_.token_multiple);
    std::int64_t of_token = model::kIdsOfAToken, of_sample = 1; // its offset
    for (auto const& column : set_.task().columns)
        (column.per == data::Per::token ? of_token : of_sample) +=
            column.width_for(std::ssize(set_.label_names()));
    // What fills a slot up is a sample of it; beyond its samples a slot has one offset more.
    std::int64_t const words = of_token * tokens + of_sample * (shape_.samples + slots) + slots;
    return static_cast<std::size_t>(words) * sizeof(std::int64_t);
}

void BatchSource::send(Ahead const& batch) {
    if (!ring_)
        ring_ = std::make_unique<cluster::CopyAhead>(largest_batch(), kDepth, stream_, deadline_);
    auto* out = reinterpret_cast<std::int64_t*>(ring_->stage().data());
    for (auto const& slot : batch.slots) {
        model::pack_ids(slot, out);
        out += model::packed_ids(slot);
    }
    ring_->send();
}

Batch BatchSource::take(BatchPlace const& place) {
    std::optional<Ahead> ahead = std::exchange(ahead_, std::nullopt);
    bool const foreseen = ahead && ahead->place == place;
    if (ahead && !foreseen) { // a step was left out or taken back
        ring_->take();
        ring_->done();
    }
    Ahead now = foreseen ? std::move(*ahead) : read(place);
    if (stream_ && !foreseen) send(now);
    auto* at = stream_ ? static_cast<std::int64_t*>(const_cast<void*>(ring_->take())) : nullptr;
    taken_ = stream_ != nullptr;
    Batch batch{std::move(now.plan), {}};
    double const scale =
        batch.plan.trained > 0 ? 1.0 / static_cast<double>(batch.plan.trained) : 0.0;
    for (auto& slot : now.slots) {
        if (!stream_) {
            batch.passes.push_back(
                model::make_pass(std::move(slot), true, seed_, place.step, scale, device_));
            continue;
        }
        std::int64_t const count = model::packed_ids(slot);
        at::Tensor const packed =
            at::from_blob(at, {count}, at::TensorOptions().dtype(at::kLong).device(device_));
        model::SlotIds ids = model::view_ids(packed, slot);
        batch.passes.push_back({std::move(slot), std::move(ids), true, seed_, place.step, scale});
        at += count;
    }
    return batch;
}

void BatchSource::done() {
    if (std::exchange(taken_, false)) ring_->done();
}

void BatchSource::read_ahead(BatchPlace const& place) {
    if (!stream_ || ahead_) return;
    ahead_ = read(place);
    send(*ahead_);
}

} // namespace trireme::framework::step
