#include <gtest/gtest.h>

#include "cluster/philox.hpp"
#include "cluster/sha256.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::cluster {
namespace {

// Vectors of Random123's kat_vectors file for philox4x32-10.
TEST(Philox, KnownAnswers) {
    EXPECT_EQ(philox(0, 0, 0), (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint64_t kOnes = ~std::uint64_t{0};
    EXPECT_EQ(philox(kOnes, kOnes, kOnes),
              (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
              (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Hashes, KnownAnswers) {
    Sha256 sha;
    sha.update("a", 1);
    sha.update("bc", 2);
    // FIPS 180-2, B.1
    EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    // xxHash's test vectors
    EXPECT_EQ(xxh3_hex(nullptr, 0), "99aa06d3014798d86001c324468d497f");
    Xxh3 pieces;
    pieces.update("hello ", 6);
    pieces.update("world", 5);
    EXPECT_EQ(pieces.hex(), xxh3_hex("hello world", 11));
}

} // namespace
} // namespace trireme::cluster
