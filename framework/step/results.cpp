#include "framework/step/results.hpp"

#include <limits>
#include <span>
#include <utility>

#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/step/batch_source.hpp"
#include "parallel/micro_batch_ranks.hpp"
#include "parallel/tensor_buffer.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::framework::step {

at::Tensor forward_backward(BatchSource& batches, BatchPlace const& place,
                            parallelize::ParallelModel& model) {
    auto [plan, passes] = batches.take(place);
    auto const micro_batches = static_cast<std::int64_t>(plan.micro_batches.size());
    model.load(std::move(passes));
    model.queue(micro_batches);
    batches.done();
    return optimizer::ordered_sum(
        gather_losses(model.engine().losses(), micro_batches, model.mesh()));
}

at::Tensor gather_losses(at::Tensor const& mine, std::int64_t micro_batches,
                         parallel::Mesh const& mesh) {
    std::int64_t const ranks = mesh.data().size(),
                       each = parallel::micro_steps_of(micro_batches, ranks);
    at::Tensor const own = at::constant_pad_nd(mine, {0, each - mine.numel()}),
                     all = own.new_empty({ranks, each});
    parallel::finish(
        mesh.data().all_gather(parallel::buffer_of(own), parallel::buffer_of(all), "step/loss"),
        all);
    // micro-batch s is the (s / ranks)th of rank s % ranks
    return all.t().reshape({-1}).narrow(0, 0, micro_batches);
}

at::Tensor update_scale(at::Tensor const& loss, at::Tensor const& gradient_norm, double clip,
                        double highest_loss) {
    at::Tensor const good = loss.isfinite() & gradient_norm.isfinite() & (loss <= highest_loss);
    at::Tensor const scale = optimizer::clip_scale(gradient_norm, clip);
    return at::where(good, scale, at::full_like(scale, std::numeric_limits<double>::quiet_NaN()));
}

StepResults::StepResults(at::Device device, std::int64_t most_micro_batches,
                         std::chrono::milliseconds deadline) {
    void* const stream =
        parallel::place_of(at::empty({1}, at::TensorOptions().device(device))).stream;
    if (!stream) return;
    auto const numbers = static_cast<std::size_t>(2 + most_micro_batches);
    copy_ = std::make_unique<cluster::CopyBack>(numbers * sizeof(double), stream, deadline);
}

void StepResults::send(at::Tensor const& loss, at::Tensor const& gradient_norm,
                       at::Tensor const& losses) {
    at::Tensor const numbers = at::cat({loss.view({1}), gradient_norm.view({1}), losses});
    if (copy_)
        copy_->send(numbers.const_data_ptr(), numbers.nbytes());
    else
        sent_ = numbers;
}

StepResults::Numbers StepResults::read() {
    at::Tensor const here = copy_ ? at::Tensor() : sent_.cpu();
    std::span<std::byte const> const bytes =
        copy_ ? copy_->read()
              : std::span(static_cast<std::byte const*>(here.const_data_ptr()),
                          static_cast<std::size_t>(here.nbytes()));
    auto const* const x = reinterpret_cast<double const*>(bytes.data());
    return {x[0], x[1], {x + 2, x + bytes.size() / sizeof(double)}};
}

} // namespace trireme::framework::step
