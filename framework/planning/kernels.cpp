#include "framework/planning/kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace trireme::framework::planning {

namespace {

/// A tile that a multiprocessor computes at once, and how much of the peak it can reach: smaller
/// tiles load more bytes for each operation.
struct Tile {
    double rows, columns, rate;
};
constexpr std::array kTiles{Tile{256, 128, 1.0}, Tile{128, 256, 1.0}, Tile{128, 128, 0.93},
                            Tile{128, 64, 0.78}, Tile{64, 128, 0.78}, Tile{64, 64, 0.6}};

double tiled_seconds(Gpu const& gpu, Tile const& tile, double rows, double columns, double inner,
                     double batch) {
    double const sm = static_cast<double>(gpu.multiprocessors);
    double const tiles = batch * std::ceil(rows / tile.rows) * std::ceil(columns / tile.columns);
    // The work of the last wave may be cut along the inner dimension too.
    double const splits = std::clamp(std::floor(sm / tiles), 1.0, std::max(1.0, inner / 1024));
    double const waves = std::ceil(tiles * splits / sm);
    // Smaller tiles lie several on a multiprocessor, and one computes while another starts.
    double const depth = gpu.tile_depth * tile.rows * tile.columns / (256.0 * 128.0);
    double const one = 2 * tile.rows * tile.columns * (inner / splits + depth);
    return waves * one / (gpu.matrix_flops * gpu.matrix_efficiency * tile.rate / sm);
}

} // namespace

double matrix_seconds(Gpu const& gpu, double rows, double columns, double inner, double batch) {
    double best = INFINITY;
    for (auto const& tile : kTiles)
        best = std::min(best, tiled_seconds(gpu, tile, rows, columns, inner, batch));
    double const bytes = 2 * batch * (rows * inner + inner * columns + rows * columns);
    return std::max(best, memory_seconds(gpu, bytes));
}

double memory_seconds(Gpu const& gpu, double bytes) {
    return bytes / (gpu.memory_bandwidth * gpu.memory_efficiency);
}

} // namespace trireme::framework::planning
