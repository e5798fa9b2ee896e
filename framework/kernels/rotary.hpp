// Rotary positions (Su et al., "RoFormer", 2021), halves paired as in Hugging Face's rotate_half.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// Numbers of a head, and how many of them turn: the first ones. 8: all of 8.
struct RotarySizes {
    std::int64_t head, turned;
    RotarySizes(std::int64_t all) : RotarySizes(all, all) {}
    RotarySizes(std::int64_t of_head, std::int64_t of_these) : head(of_head), turned(of_these) {}
};

/// Rotates x[rows, heads, size.head] by the angle of position[row]: y1 = x1 cos - x2 sin, y2 = x2
/// cos + x1 sin for the halves of what turns of each head; the rest stays. `cosine` and `sine` are
/// [positions, size.turned / 2]. direction -1 rotates back, for the gradient. May be in place.
template <typename T>
void apply_rotary(std::int64_t rows, std::int64_t heads, RotarySizes size,
                  std::int32_t const* position, T const* cosine, T const* sine, int direction,
                  T const* x, T* y);

} // namespace trireme::framework::kernels
