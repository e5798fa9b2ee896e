// Memory that a collective reads or writes, without knowing tensors.
#pragma once
#include <cstddef>
#include <cstdint>

namespace trireme::cluster {

enum class DType : std::uint8_t { u8, i32, i64, bf16, f32, f64 };
enum class Device : std::uint8_t {
    host,
    cuda,
    none ///< no memory: counts only, for the fake communicator
};

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
    switch (dtype) {
    case DType::u8: return 1;
    case DType::bf16: return 2;
    case DType::i32:
    case DType::f32: return 4;
    case DType::i64:
    case DType::f64: return 8;
    }
    return 0;
}
char const* name_of(DType dtype);

/// Non-owning: the caller keeps the memory alive until the `Work` made from it is done.
struct Buffer {
    void* data = nullptr;
    std::size_t count = 0; ///< elements, not bytes
    DType dtype = DType::f32;
    Device device = Device::host;
    /// the CUDA stream that produces or consumes the memory; null on the host
    void* stream = nullptr;

    std::size_t bytes() const { return count * size_of(dtype); }
    Buffer slice(std::size_t first, std::size_t n) const {
        return {static_cast<std::byte*>(data) + first * size_of(dtype), n, dtype, device, stream};
    }
};

} // namespace trireme::cluster
