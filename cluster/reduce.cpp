#include "cluster/reduce.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

float from_bf16(std::uint16_t x) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

std::uint16_t to_bf16(float x) { // round to nearest even; a NaN stays one
    auto const bits = std::bit_cast<std::uint32_t>(x);
    if (x != x) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
void combine(T* total, T const* piece, std::size_t count, ReduceOp op) {
    switch (op) {
    case ReduceOp::sum:
        for (std::size_t i = 0; i < count; ++i) total[i] = static_cast<T>(total[i] + piece[i]);
        break;
    case ReduceOp::max:
        for (std::size_t i = 0; i < count; ++i) total[i] = std::max(total[i], piece[i]);
        break;
    case ReduceOp::min:
        for (std::size_t i = 0; i < count; ++i) total[i] = std::min(total[i], piece[i]);
        break;
    }
}

template <typename T>
void reduce_tiles(std::vector<void const*> const& pieces, Buffer const& out, ReduceOp op) {
    auto* to = static_cast<T*>(out.data);
    std::size_t const tile = reduce_tile;
    std::vector<T> total(std::min(tile, out.count));
    for (std::size_t begin = 0; begin < out.count; begin += tile) {
        std::size_t const count = std::min(tile, out.count - begin);
        std::copy_n(static_cast<T const*>(pieces[0]) + begin, count, total.data());
        for (std::size_t p = 1; p < pieces.size(); ++p)
            combine(total.data(), static_cast<T const*>(pieces[p]) + begin, count, op);
        std::copy_n(total.data(), count, to + begin);
    }
}

void reduce_bf16(std::vector<void const*> const& pieces, Buffer const& out, ReduceOp op) {
    auto* to = static_cast<std::uint16_t*>(out.data);
    for (std::size_t i = 0; i < out.count; ++i) {
        float total = from_bf16(static_cast<std::uint16_t const*>(pieces[0])[i]);
        for (std::size_t p = 1; p < pieces.size(); ++p) {
            float const piece = from_bf16(static_cast<std::uint16_t const*>(pieces[p])[i]);
            combine(&total, &piece, 1, op);
        }
        to[i] = to_bf16(total);
    }
}

} // namespace

void reduce_pieces(Buffer const& pieces, std::size_t n, Buffer const& out, ReduceOp op) {
    std::vector<void const*> apart(n);
    for (std::size_t p = 0; p < n; ++p) apart[p] = pieces.slice(p * out.count, out.count).data;
    reduce_pieces(apart, out, op);
}

void reduce_pieces(std::vector<void const*> const& pieces, Buffer const& out, ReduceOp op) {
    switch (out.dtype) {
    case DType::f32: return reduce_tiles<float>(pieces, out, op);
    case DType::f64: return reduce_tiles<double>(pieces, out, op);
    case DType::i32: return reduce_tiles<std::int32_t>(pieces, out, op);
    case DType::i64: return reduce_tiles<std::int64_t>(pieces, out, op);
    case DType::u8: return reduce_tiles<std::uint8_t>(pieces, out, op);
    case DType::bf16: return reduce_bf16(pieces, out, op);
    }
    throw JobError("reduce_pieces: unknown dtype");
}

} // namespace trireme::cluster
