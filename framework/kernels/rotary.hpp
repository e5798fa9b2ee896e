// Rotary positions (Su et al., "RoFormer", 2021), halves paired as in Hugging Face's rotate_half.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// Rotates x[rows, heads, size] by the angle of position[row]: y1 = x1 cos - x2 sin, y2 = x2 cos +
/// x1 sin for the halves of each head. `cosine` and `sine` are [positions, size / 2]. direction -1
/// rotates back, for the gradient. May be in place.
template <typename T>
void apply_rotary(std::int64_t rows, std::int64_t heads, std::int64_t size,
                  std::int32_t const* position, T const* cosine, T const* sine, int direction,
                  T const* x, T* y);

} // namespace trireme::framework::kernels
