#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "cluster/file.hpp"
#include "data/hdf5.hpp"
#include "data/manifest.hpp"
#include "data/pieces.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::data {
namespace {

/// Rows are written some at a time, and more of them where the next call begins.
TEST(Hdf5, RowsComeInPiecesAndAreAllThere) {
    SmallPieces const small;
    for (std::int64_t const width : {1, 2, 5}) // three rows a piece, one, and one beyond its size
        for (std::int64_t const rows : {1, 2, 3, 4, 6, 7}) {
            test::TemporaryFolder const folder;
            std::string const path = folder.path() + "/x.h5";
            std::vector<double> values(static_cast<std::size_t>((rows + 2) * width));
            std::iota(values.begin(), values.end(), 1.0);
            Extent extent;
            {
                H5 const file = create_h5(path);
                H5 const set = create_contiguous(
                    file, path, "/a/b", H5T_IEEE_F64LE,
                    {static_cast<hsize_t>(rows + 2), static_cast<hsize_t>(width)});
                write_rows(set, path, 0, 2, values.data());
                write_rows(set, path, 2, rows, values.data() + 2 * width);
                extent = extent_of(file, path, "/a/b", H5T_IEEE_F64LE);
            }
            std::string const bytes = cluster::read_file(path);
            ASSERT_EQ(extent.count, std::ssize(values));
            EXPECT_EQ(std::memcmp(bytes.data() + extent.offset, values.data(), 8 * values.size()),
                      0)
                << rows << " rows of " << width;
        }
}

TEST(Shards, EqualContentIsEqualBytes) {
    test::TemporaryFolder const a, b;
    std::vector<Sample> const samples{sample(4, 2), sample(3, 1)};
    ShardInfo const first = write_shard(a.path(), "x.h5", samples, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(1100)); // HDF5 object times count seconds
    EXPECT_EQ(first.xxh3, write_shard(b.path(), "x.h5", samples, {}).xxh3);
}

} // namespace
} // namespace trireme::data
