// Device side of framework/kernels/adamw.hpp. No torch headers: pointers and a stream in (C++17,
// nvcc). Evidence: compiled and linked; never run on a GPU by this project yet (docs/gpu.md).
#pragma once
#include "framework/kernels/adamw.hpp"

namespace trireme::framework::kernels {

/// One AdamW update of n elements, queued on `stream` (a cudaStream_t). False if the launch was
/// refused, as a build without CUDA does (no_adamw.cpp).
template <typename T>
bool adamw_on_device(std::int64_t n, AdamWStep const& step, T* weight, T const* gradient,
                     T* moment1, T* moment2, void* stream);

} // namespace trireme::framework::kernels
