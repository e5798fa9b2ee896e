// Picks the rows of a micro-batch that a head of whole samples reads.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "framework/model/pass.hpp"
#include "parallel/linear.hpp"

namespace trireme::framework::model {

/// Returns h itself if it has just these rows: they were chosen before, or each sample is one token
/// (none is empty). The meta device selects no rows: a copy of as many of the first ones takes as
/// much memory.
inline at::Tensor choose_rows(at::Tensor const& h, std::vector<std::int64_t> const& rows) {
    if (h.size(0) == std::ssize(rows)) return h;
    return h.is_meta() ? h.narrow(0, 0, static_cast<std::int64_t>(rows.size())).clone()
                       : h.index_select(0, on_device(rows, h.device()));
}

/// [T, C] -> [samples, C]
inline at::Tensor mean_of_samples(at::Tensor const& x, Pass const& pass) {
    auto const dtype = x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type();
    std::int64_t const samples = pass.micro_batch.sample_count();
    if (x.is_meta()) return at::mm(x.new_empty({samples, x.size(0)}), x);
    at::Tensor const first = pass.ids.offsets.narrow(0, 0, samples).unsqueeze(1),
                     end = pass.ids.offsets.narrow(0, 1, samples).unsqueeze(1),
                     token = at::arange(x.size(0), first.options());
    at::Tensor const own = (token >= first).logical_and_(token < end).to(dtype);
    return parallel::product(own / (end - first), x.to(dtype)).to(x.scalar_type());
}

} // namespace trireme::framework::model
