#include <gtest/gtest.h>

#include <fstream>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::data {
namespace {

TEST(Shards, EveryFlippedBitIsFound) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/train-00001.h5";
    std::string const good = cluster::read_file(path);
    for (std::size_t bit = 3; bit < good.size() * 8; bit += good.size() * 8 / 50) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        cluster::write_file(path, bad);
        auto const message = error_of([&] { open_dataset(folder.path(), "train")->verify(0, 1); });
        EXPECT_NE(message.find("train-00001.h5"), std::string::npos)
            << "bit " << bit << ": " << message;
    }
}

TEST(Shards, EveryFlippedBitOfTheManifestIsFound) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/manifest.json", good = cluster::read_file(path);
    EXPECT_NO_THROW(open_dataset(folder.path(), "train")->verify(0, 1));
    // no divisor of 8: bits of every value
    for (std::size_t bit = 0; bit < good.size() * 8; bit += 5) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        std::ofstream(path, std::ios::binary) << bad;
        auto const message = error_of([&] { open_dataset(folder.path(), "train")->verify(0, 1); });
        // A flip in the name of a shard is told of the file that is not there.
        ASSERT_NE(message.find(folder.path()), std::string::npos)
            << "bit " << bit << ": " << message;
    }
}

} // namespace
} // namespace trireme::data
