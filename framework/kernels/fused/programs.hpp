// The fused kernels that a GPU has, and how one is queued there.
#pragma once
#include "framework/kernels/fused/adamw.hpp"
#include "framework/kernels/fused/block_squares.hpp"
#include "framework/kernels/fused/cross_entropy.hpp"
#include "framework/kernels/fused/dropout.hpp"
#include "framework/kernels/fused/gate.hpp"
#include "framework/kernels/fused/norm.hpp"
#include "framework/kernels/fused/rotary.hpp"
#include "framework/kernels/fused/team.hpp"

namespace trireme::framework::kernels::fused {

/// Calls X(program) for each; whoever defines `launch` makes these.
#define TRIREME_FUSED_OF_NUMBERS(X, T)                                                             \
    X(NormForward<T>)                                                                              \
    X(NormBackward<T>)                                                                             \
    X(DropRows<T>)                                                                                 \
    X(Rotary<T>)                                                                                   \
    X(Gate<T>)                                                                                     \
    X(CrossEntropy<T>)
#define TRIREME_FUSED_PROGRAMS(X)                                                                  \
    TRIREME_FUSED_OF_NUMBERS(X, BFloat16)                                                          \
    TRIREME_FUSED_OF_NUMBERS(X, float)                                                             \
    TRIREME_FUSED_OF_NUMBERS(X, double)                                                            \
    X(ColumnSums<float>)                                                                           \
    X(ColumnSums<double>)                                                                          \
    X(AdamWStretches<float>)                                                                       \
    X(AdamWStretches<double>)                                                                      \
    X(BlockSquares<float>)                                                                         \
    X(BlockSquares<double>)

/// Queues a program on `stream` (a cudaStream_t). False if the launch was refused, as a build
/// without CUDA does (framework/kernels/cuda/no_fused.cpp). One launch.
template <typename Program>
bool launch(Program const& program, void* stream);

} // namespace trireme::framework::kernels::fused
