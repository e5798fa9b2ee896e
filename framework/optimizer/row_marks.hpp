// A parameter's account of the rows that have a gradient, as kernels take it.
#pragma once
#include <ATen/ATen.h>

#include <optional>

#include "framework/kernels/adamw.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::optimizer {

/// None where any row may have a gradient. The parameter owns the marks, until its next
/// micro-batch.
inline std::optional<kernels::TouchedRows> touched_rows(parallel::Stretch const& stretch) {
    auto const& [parameter, first, count, at] = stretch;
    at::Tensor const marks = parameter->touched_rows();
    if (!marks.defined() || marks.is_meta()) return std::nullopt;
    return kernels::TouchedRows{marks.const_data_ptr<std::uint8_t>(),
                                parameter->numel() / marks.size(0), first, count};
}

} // namespace trireme::framework::optimizer
