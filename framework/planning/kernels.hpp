// Tells what kernels cost on a GPU: rooflines in which matrix products run tile by tile in waves
// over the multiprocessors.
#pragma once
#include "framework/planning/machine.hpp"

namespace trireme::framework::planning {

/// Seconds of one product of rows x inner by inner x columns, in 16 bits, `batch` of them at once.
double matrix_seconds(Gpu const& gpu, double rows, double columns, double inner, double batch = 1);

/// Seconds of kernels that read and write `bytes` in all.
double memory_seconds(Gpu const& gpu, double bytes);

} // namespace trireme::framework::planning
