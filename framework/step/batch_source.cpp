#include "framework/step/batch_source.hpp"

#include <algorithm>
#include <utility>

#include "data/token_weights.hpp"
#include "parallel/micro_batch_ranks.hpp"
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
    for (auto const& samples : parallel::own_micro_batches(
             batch.plan.micro_batches, mesh_.data().rank(), mesh_.data().size()))
        batch.micro_batches.push_back(set_.read(samples, shape_.token_multiple));
    return batch;
}

std::size_t BatchSource::largest_batch() const {
    std::int64_t const micro_batches =
        parallel::micro_steps_of(shape_.samples, mesh_.data().size());
    std::int64_t const full =
        std::max(shape_.tokens_per_micro_batch, set_.longest()) + shape_.token_multiple;
    std::int64_t const tokens =
        std::min(micro_batches * full,
                 shape_.samples * set_.longest() + micro_batches * shape_.token_multiple);
    std::int64_t of_token = model::kIdsOfAToken, of_sample = 2; // its offset, twice
    for (auto const& column : set_.task().columns)
        (column.per == data::Per::token ? of_token : of_sample) +=
            column.width_for(std::ssize(set_.label_names()));
    if (data::has_token_weights(set_.task())) ++of_token;
    // Filling tokens count as a sample of the micro-batch, and there is one offset more than
    // samples, twice.
    std::int64_t const words =
        of_token * tokens + of_sample * (shape_.samples + micro_batches) + 2 * micro_batches;
    return static_cast<std::size_t>(words) * sizeof(std::int64_t);
}

double BatchSource::divisor_of(data::StepPlan const& plan) const {
    if (class_weights_.empty()) return data::weight_of(set_, plan);
    double sum = 0;
    for (auto const& samples : plan.micro_batches)
        for (auto const sample : samples)
            if (auto const label = set_.class_of(sample); label >= 0)
                sum += class_weights_.at(static_cast<std::size_t>(label));
    return sum;
}

void BatchSource::send(Ahead const& batch) {
    if (!ring_)
        ring_ = std::make_unique<cluster::CopyAhead>(largest_batch(), kDepth, stream_, deadline_);
    auto* out = reinterpret_cast<std::int64_t*>(ring_->stage().data());
    for (auto const& micro_batch : batch.micro_batches) {
        model::pack_ids(micro_batch, out);
        out += model::packed_ids(micro_batch);
    }
    ring_->send();
}

BatchSource::Ahead BatchSource::next(BatchPlace const& place) {
    std::optional<Ahead> ahead = std::exchange(ahead_, std::nullopt);
    if (ahead && ahead->place == place) return std::move(*ahead);
    if (ahead) { // a step was left out or taken back
        ring_->take();
        ring_->done();
    }
    Ahead now = read(place);
    if (stream_) send(now);
    return now;
}

/// Looks at ids that were sent to `at` on the device, and moves on to those of the next
/// micro-batch.
static model::MicroBatchIds view_next(std::int64_t*& at, data::MicroBatch const& micro_batch,
                                      at::Device device) {
    std::int64_t const count = model::packed_ids(micro_batch);
    at::Tensor const packed =
        at::from_blob(at, {count}, at::TensorOptions().dtype(at::kLong).device(device));
    at += count;
    return model::view_ids(packed, micro_batch);
}

Batch BatchSource::take(BatchPlace const& place) {
    Ahead now = next(place);
    auto* at = stream_ ? static_cast<std::int64_t*>(const_cast<void*>(ring_->take())) : nullptr;
    taken_ = stream_ != nullptr;
    Batch batch{std::move(now.plan), {}};
    double const divisor = divisor_of(batch.plan), scale = divisor > 0 ? 1.0 / divisor : 0.0;
    for (auto& micro_batch : now.micro_batches) {
        if (!stream_) {
            batch.passes.push_back(
                model::make_pass(std::move(micro_batch), true, seed_, place.step, scale, device_));
            continue;
        }
        model::MicroBatchIds ids = view_next(at, micro_batch, device_);
        batch.passes.push_back(
            {std::move(micro_batch), std::move(ids), true, seed_, place.step, scale});
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
