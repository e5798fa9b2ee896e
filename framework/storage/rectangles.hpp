// The geometry of a checkpoint: flat ranges of a tensor as rectangles of it. Pure arithmetic.
#pragma once
#include <cstdint>
#include <vector>

namespace trireme::framework::storage {

using Shape = std::vector<std::int64_t>;

/// start[i] <= index[i] < start[i] + count[i] of a tensor's indices.
struct Rectangle {
    Shape start, count;
    std::int64_t elements() const;
};

std::int64_t elements_of(Shape const& shape);

/// Elements [first, first + count) of a row-major tensor of one or two dimensions, as at most three
/// rectangles whose elements follow each other: the end of a row, whole rows, the beginning of a
/// row.
std::vector<Rectangle> rectangles_of(Shape const& shape, std::int64_t first, std::int64_t count);

/// A block of a tensor that one rank holds: of dim `dim`, elements [first, first + real) of the
/// tensor, and padding up to `local`. dim -1: the whole tensor.
struct LocalBlock {
    Shape global, local;
    int dim = -1;
    std::int64_t first = 0, real = 0;
};
/// A rectangle of the global tensor and the same elements in the block.
struct Patch {
    Rectangle global, local;
};
/// Elements [first, first + count) of the row-major block, at most three rectangles of the global
/// tensor. Padding is in none.
std::vector<Patch> patches_of(LocalBlock const& block, std::int64_t first, std::int64_t count);

/// Are the rectangles inside the shape, disjoint, and together the whole of it?
bool cover_exactly(Shape const& shape, std::vector<Rectangle> const& rectangles);

} // namespace trireme::framework::storage
