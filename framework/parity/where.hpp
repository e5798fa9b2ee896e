// Finds where in a tensor a layout is wrong.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "framework/parity/layouts.hpp"
#include "parallel/parameter.hpp"

namespace trireme::framework::parity {

/// " in row 0 of 101", " in columns 24 to 46 of 47, what tensor rank 1 holds", ...; "" if it
/// differs all over, or nowhere. Both are of the global shape of `spec`.
std::string where_wrong(parallel::ParameterSpec const& spec, Layout const& layout,
                        at::Tensor const& found, at::Tensor const& exact);

} // namespace trireme::framework::parity
