// Live and peak bytes of tensors, counted where they are allocated.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>

namespace trireme::test {

/// From the first call on, every tensor on `device` (CPU or meta) is counted; the allocators stay
/// for the process. What kernels of our own keep in vectors is not.
struct MemoryMeter {
    static MemoryMeter of(c10::DeviceType device);

    std::int64_t live() const;
    std::int64_t peak() const; ///< since the last reset
    void reset_peak() const;

    c10::DeviceType device;
};

} // namespace trireme::test
