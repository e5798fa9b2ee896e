#include "parallel/parameter.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cluster/error.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::parallel {

Parameter::Parameter(ParameterSpec spec, int tensor_ranks, int tensor_rank)
    : spec_(std::move(spec)), shape_(spec_.shape) {
    auto const dim = static_cast<std::size_t>(std::max(0, spec_.cut.dim));
    slice_ = slice_of(spec_.cut, spec_.shape.at(dim), tensor_ranks, tensor_rank);
    shape_[dim] = slice_.local;
    counted_ = tensor_rank % slice_.copies == 0;
}

std::int64_t Parameter::numel() const {
    std::int64_t n = 1;
    for (std::int64_t d : shape_) n *= d;
    return n;
}

at::Tensor const& Parameter::master() const {
    if (!master_.defined()) throw cluster::JobError(spec_.name + ": its master copy is sharded");
    return master_;
}

at::Tensor Parameter::touched_rows() const {
    return sinks_.size() == 1 && sinks_[0].marked ? sinks_[0].marks : at::Tensor();
}

at::Tensor const& Parameter::gradient() const {
    if (!gradient_.defined()) throw cluster::JobError(spec_.name + ": its gradient is sharded");
    return gradient_;
}

Parameter::Sink& Parameter::sink(int use) {
    Sink& sink = sinks_.at(static_cast<std::size_t>(use));
    if (!sink.gradient.defined()) unit_->open_micro_batch(static_cast<std::size_t>(use));
    return sink;
}

void for_each_run(Parameter const& p, std::int64_t first, std::int64_t count,
                  std::function<void(Run const&)> const& f) {
    auto const& shape = p.shape();
    auto const& slice = p.slice();
    // Rows of the slice, each `width` long; of dim 0 the first `real` rows exist, of dim 1 the
    // first `real` columns.
    if (p.spec().cut.dim != 1) {
        std::int64_t const width = p.numel() / std::max<std::int64_t>(1, shape[0]),
                           end = std::min(first + count, slice.real * width);
        if (first < end) f({first, slice.first * width + first, end - first});
        return;
    }
    std::int64_t const width = shape[1], global_width = p.spec().shape[1];
    for (std::int64_t at = first; at < first + count;) {
        std::int64_t const row = at / width, column = at % width;
        std::int64_t const end = std::min(first + count, (row + 1) * width);
        std::int64_t const real = std::min(end - at, slice.real - column);
        if (real > 0) f({at, row * global_width + slice.first + column, real});
        at = end;
    }
}

namespace {
void mark_written(bool& written, std::string const& name) {
    if (written)
        throw cluster::JobError("gradient of " + name +
                                " was delivered twice in one micro-batch: a second use of a "
                                "parameter needs its own sink");
    written = true;
}

/// Marks rows `ids`; those below 0 are of no row.
void mark_rows(at::Tensor const& marks, at::Tensor const& ids) {
    if (marks.is_meta()) return;
    auto* const mark = marks.mutable_data_ptr<std::uint8_t>();
    auto const* const id = ids.const_data_ptr<std::int64_t>();
    for (std::int64_t t = 0; t < ids.numel(); ++t)
        if (id[t] >= 0) mark[id[t]] = 1;
}

/// Zeroes the marked rows of a table, and the marks.
void clear_rows(at::Tensor const& table, at::Tensor const& marks) {
    if (marks.is_meta()) return;
    auto* const mark = marks.mutable_data_ptr<std::uint8_t>();
    auto* const bytes = static_cast<std::byte*>(table.mutable_data_ptr());
    std::size_t const rows = static_cast<std::size_t>(table.size(0)),
                      row_bytes = static_cast<std::size_t>(table.size(1)) * table.element_size();
    for (std::size_t row = 0; row < rows; ++row)
        if (mark[row]) std::memset(bytes + row * row_bytes, 0, row_bytes);
    std::fill_n(mark, rows, std::uint8_t{0});
}
} // namespace

void product_into(at::Tensor const& sum, at::Tensor const& a, at::Tensor const& b, bool fresh) {
    at::Tensor out = sum;
    auto const dtype = sum.scalar_type();
    if (a.scalar_type() == dtype) {
        fresh ? at::mm_out(out, a, b) : at::addmm_out(out, out, a, b);
    } else if (!composed(sum)) {
        at::Tensor const product = at::mm(a, b);
        fresh ? out.copy_(product) : out.add_(product);
    } else if (sum.is_meta()) { // which has no such product
        note_kernel("trireme::product_into", {a, b, fresh ? at::Tensor() : sum}, {sum});
    } else if (on_gpu(sum)) {
        fresh ? at::mm_out(out, a, b, dtype) : at::addmm_out(out, out, a, b, dtype);
    } else {
        product_into(sum, a.to(dtype), b.to(dtype), fresh);
    }
}

void ParameterUse::deliver_product(at::Tensor const& a, at::Tensor const& b) const {
    now_or_later([parameter = parameter_, use = use_, a, b] {
        auto& sink = parameter->sink(use);
        mark_written(sink.written, parameter->spec().name);
        sink.marked = false;
        product_into(sink.gradient, a, b, !sink.holds_sum);
        sink.holds_sum = true;
    });
}

void ParameterUse::deliver(at::Tensor const& gradient) const {
    now_or_later([parameter = parameter_, use = use_, gradient] {
        auto& sink = parameter->sink(use);
        mark_written(sink.written, parameter->spec().name);
        sink.marked = false;
        sink.holds_sum ? sink.gradient.add_(gradient) : sink.gradient.copy_(gradient);
        sink.holds_sum = true;
    });
}

ParameterUse::Accumulator ParameterUse::accumulate() const {
    auto& sink = parameter_->sink(use_);
    mark_written(sink.written, name());
    sink.marked = false;
    return {sink.gradient, !std::exchange(sink.holds_sum, true)};
}

at::Tensor ParameterUse::accumulate_rows(at::Tensor const& ids) const {
    auto& sink = parameter_->sink(use_);
    mark_written(sink.written, name());
    if (!std::exchange(sink.holds_sum, true)) sink.clear();
    if (sink.marked) mark_rows(sink.marks, ids);
    return sink.gradient;
}

void Parameter::Sink::clear() {
    if (marked) {
        clear_rows(gradient, marks);
        return;
    }
    gradient.zero_();
    marked = marks.defined() && !composed(gradient);
    if (marked) marks.zero_();
}

namespace {
thread_local WeightGradientQueue* current_queue = nullptr;
}

WeightGradientQueue::WeightGradientQueue() : outer_(std::exchange(current_queue, this)) {}
WeightGradientQueue::~WeightGradientQueue() {
    current_queue = outer_;
}

void now_or_later(std::function<void()> work) {
    if (current_queue)
        current_queue->waiting_.push_back(std::move(work));
    else
        work();
}

bool weight_gradients_wait() {
    return current_queue != nullptr;
}

} // namespace trireme::parallel
