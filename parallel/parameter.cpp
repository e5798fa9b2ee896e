#include "parallel/parameter.hpp"

#include <utility>

#include "cluster/error.hpp"

namespace trireme::parallel {

std::int64_t Parameter::numel() const {
    std::int64_t n = 1;
    for (std::int64_t d : spec_.shape) n *= d;
    return n;
}

namespace {
void mark_written(bool& written, std::string const& name) {
    if (written)
        throw cluster::JobError("gradient of " + name +
                                " was delivered twice in one slot: a second use of a parameter needs its own sink");
    written = true;
}
} // namespace

void ParameterUse::deliver_product(at::Tensor const& a, at::Tensor const& b) const {
    auto& sink = parameter_->sinks_[static_cast<std::size_t>(use_)];
    mark_written(sink.written, name());
    if (a.scalar_type() != sink.slot.scalar_type()) { // bf16 products, float32 sums
        at::Tensor const product = at::mm(a, b);
        sink.holds_sum ? sink.slot.add_(product) : sink.slot.copy_(product);
    } else if (sink.holds_sum) {
        sink.slot.addmm_(a, b);
    } else {
        at::mm_out(sink.slot, a, b);
    }
    sink.holds_sum = true;
}

void ParameterUse::deliver(at::Tensor const& gradient) const {
    auto& sink = parameter_->sinks_[static_cast<std::size_t>(use_)];
    mark_written(sink.written, name());
    sink.holds_sum ? sink.slot.add_(gradient) : sink.slot.copy_(gradient);
    sink.holds_sum = true;
}

ParameterUse::Accumulator ParameterUse::accumulate() const {
    auto& sink = parameter_->sinks_[static_cast<std::size_t>(use_)];
    mark_written(sink.written, name());
    return {sink.slot, !std::exchange(sink.holds_sum, true)};
}

} // namespace trireme::parallel
