// A unit's gradient without the rows of a table that have none on any rank
// (Parameter::touched_rows): a step's tokens are few of a vocabulary.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "cluster/communicator.hpp"
#include "parallel/parameter_store.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

/// Elements [first, first + count) of a unit's flat buffer.
struct Span {
    std::int64_t first, count;
};

/// Adds elements to the last span where they go on from it.
inline void extend(std::vector<Span>& spans, std::int64_t first, std::int64_t count) {
    if (count == 0) return;
    if (!spans.empty() && spans.back().first + spans.back().count == first)
        spans.back().count += count;
    else
        spans.push_back({first, count});
}

/// Elements of the unit's flat buffer that are neither in a row marked 0 nor behind the last
/// tensor.
inline std::vector<Span> spans_of(Unit const& unit) {
    std::vector<Span> spans;
    std::int64_t done = 0;
    for (std::size_t i = 0; i < unit.parameters.size(); ++i) {
        at::Tensor const marks = unit.parameters[i]->touched_rows();
        if (!marks.defined()) continue;
        std::int64_t const at = unit.layout.offset[i], rows = marks.size(0),
                           width = unit.layout.count[i] / rows;
        extend(spans, done, at - done);
        auto const* const mark = marks.const_data_ptr<std::uint8_t>();
        for (std::int64_t row = 0; row < rows; ++row)
            if (mark[row]) extend(spans, at + row * width, width);
        done = at + rows * width;
    }
    extend(spans, done, unit.layout.used - done);
    return spans;
}

/// Copies between a flat buffer and its spans one after another.
template <typename Copy>
void for_each_span(std::vector<Span> const& spans, at::Tensor const& flat, at::Tensor const& packed,
                   Copy const& copy) {
    std::size_t const size = flat.element_size();
    auto* whole = static_cast<std::byte*>(flat.mutable_data_ptr());
    auto* part = static_cast<std::byte*>(packed.mutable_data_ptr());
    for (auto const& span : spans) {
        std::size_t const bytes = static_cast<std::size_t>(span.count) * size;
        copy(whole + static_cast<std::size_t>(span.first) * size, part, bytes);
        part += bytes;
    }
}

/// What is left of the gradient, as it travels.
struct PackedRows {
    std::vector<Span> spans;
    at::Tensor values; ///< of the spans, one after another; undefined: nothing is left out

    /// Puts `values` back where they come from.
    void unpack(at::Tensor const& flat) const {
        for_each_span(spans, flat, values,
                      [](std::byte* whole, std::byte const* part, std::size_t bytes) {
                          std::memcpy(whole, part, bytes);
                      });
    }
};

/// Agrees on the rows of a sum over `data`, and leaves out the others if they are at least half of
/// the unit; a dry run, which knows no tokens, leaves out none. `flat`: the gradient of its first
/// use. Collective over `data`.
inline PackedRows pack_rows(Unit& unit, at::Tensor const& flat, cluster::Communicator& data) {
    if (data.size() == 1) return {};
    auto const all_marks = unit.marks_to_agree_on();
    for (auto const& marks : all_marks)
        finish(
            data.all_reduce(buffer_of(marks), cluster::ReduceOp::max, "touched rows/" + unit.name),
            marks);
    if (all_marks.empty() || flat.is_meta()) return {};
    PackedRows packed{spans_of(unit), {}};
    std::int64_t count = 0;
    for (auto const& span : packed.spans) count += span.count;
    if (count > unit.layout.used / 2) return {};
    packed.values = at::empty({count}, flat.options());
    for_each_span(packed.spans, flat, packed.values,
                  [](std::byte const* whole, std::byte* part, std::size_t bytes) {
                      std::memcpy(part, whole, bytes);
                  });
    return packed;
}

} // namespace trireme::parallel
