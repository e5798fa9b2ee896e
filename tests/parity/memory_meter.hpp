// Live and peak bytes of tensors, counted where they are allocated.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>

namespace trireme::test {

/// Counts every tensor on `device` (CPU or meta) from the first call on; the allocators stay for
/// the process. Vectors of our own kernels are not counted.
struct MemoryMeter {
    static MemoryMeter of(c10::DeviceType device);

    std::int64_t live() const;
    std::int64_t peak() const; ///< since the last reset
    void reset_peak() const;

    c10::DeviceType device;
};

} // namespace trireme::test
