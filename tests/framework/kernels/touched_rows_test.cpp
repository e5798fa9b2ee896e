// Updates and sums that leave out rows without a gradient, against those that read all.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "cluster/for_now.hpp"
#include "framework/kernels/adamw.hpp"
#include "framework/kernels/tiles.hpp"
#include "tests/framework/kernels/numbers.hpp"

namespace trireme::framework::kernels {
namespace {

constexpr std::int64_t kRows = 40, kWidth = 37;

/// A stretch of a table with the state of some steps: rows 0, 5, 10, ... have a gradient now, rows
/// 0, 3, 6, ... had one before.
template <typename T>
struct Table {
    std::vector<std::uint8_t> marks = std::vector<std::uint8_t>(kRows);
    std::vector<T> w, g, m, v;
    TouchedRows rows;

    Table(std::int64_t first, std::int64_t count) : rows{marks.data(), kWidth, first, count} {
        auto const n = static_cast<std::size_t>(count);
        w = numbers<T>(n, 1), g = numbers<T>(n, 2), m = numbers<T>(n, 3), v = numbers<T>(n, 4);
        for (std::size_t row = 0; row < kRows; row += 5) marks[row] = 1;
        for (std::size_t i = 0; i < n; ++i) {
            auto const row = (static_cast<std::size_t>(first) + i) / kWidth;
            v[i] = std::abs(v[i]);
            if (!marks[row]) g[i] = 0;
            if (row % 3 != 0) m[i] = v[i] = 0;
        }
    }
};

template <typename T>
void expect_equal_updates(std::int64_t first, std::int64_t count, double decay, double scale) {
    Table<T> whole(first, count), by_rows(first, count);
    AdamWStep const step{1e-2, 0.9, 0.999, 1e-8, decay, 0.3, 0.2, &scale};
    adamw<T>(count, step, whole.w.data(), whole.g.data(), whole.m.data(), whole.v.data());
    for (std::size_t i = 0; i < by_rows.g.size(); ++i) // is not read where it is zero
        if (!by_rows.marks[(static_cast<std::size_t>(first) + i) / kWidth])
            by_rows.g[i] = std::numeric_limits<T>::quiet_NaN();
    adamw<T>(by_rows.rows, step, by_rows.w.data(), by_rows.g.data(), by_rows.m.data(),
             by_rows.v.data());
    EXPECT_EQ(by_rows.w, whole.w);
    EXPECT_EQ(by_rows.m, whole.m);
    EXPECT_EQ(by_rows.v, whole.v);
}

TEST(TouchedRows, AreUpdatedAsAllAre) {
    for (std::int64_t const tile : {50, 16384}) {
        cluster::ForNow<std::int64_t> const update(tiles.update, tile);
        for (std::int64_t const first : {0, 41})
            for (double const decay : {0.0, 0.1})
                for (double const scale : {0.7, std::numeric_limits<double>::quiet_NaN()}) {
                    expect_equal_updates<float>(first, kRows * kWidth - 60, decay, scale);
                    expect_equal_updates<double>(first, kRows * kWidth - 60, decay, scale);
                }
    }
}

TEST(TouchedRows, AreSummedAsAllAre) {
    for (std::int64_t const first : {0, 41})
        for (std::int64_t const block : {16, 100, 4096}) {
            Table<float> const table(first, kRows * kWidth - 60);
            std::vector<double> all(100), some(100, -1);
            block_squares(table.rows.count, block, table.g.data(), all.data());
            block_squares(table.rows, block, table.g.data(), some.data());
            all.resize(static_cast<std::size_t>((table.rows.count + block - 1) / block));
            some.resize(all.size());
            EXPECT_EQ(some, all) << first << " " << block;
        }
}

} // namespace
} // namespace trireme::framework::kernels
