// Single bits that flip on a disk: none stays unseen.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>

#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/writer.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;
constexpr int kFlips = 1000;

/// Flips one bit of a file for as long as it lives.
class Flip {
  public:
    Flip(std::string const& path, std::uint64_t bit)
        : file_(open(path.c_str(), O_RDWR | O_CLOEXEC)), bit_(bit) {
        change();
    }
    ~Flip() {
        change();
        close(file_);
    }
    Flip(Flip const&) = delete;
    Flip& operator=(Flip const&) = delete;

  private:
    void change() const {
        std::uint8_t byte = 0;
        auto const at = static_cast<off_t>(bit_ / 8);
        EXPECT_EQ(pread(file_, &byte, 1, at), 1);
        byte = static_cast<std::uint8_t>(byte ^ (1U << bit_ % 8));
        EXPECT_EQ(pwrite(file_, &byte, 1, at), 1);
    }
    int file_;
    std::uint64_t bit_;
};

/// A random place in one of a folder's files with that ending, each file as likely as another.
struct Place {
    std::string file;
    std::uint64_t bit;
};
Place random_place(std::string const& folder, std::string const& ending, std::mt19937_64& random) {
    std::vector<std::string> files;
    for (auto const& entry : fs::directory_iterator(folder))
        if (entry.path().string().ends_with(ending)) files.push_back(entry.path().filename());
    std::ranges::sort(files);
    std::string const& file = files[random() % files.size()];
    return {file, random() % (fs::file_size(folder + "/" + file) * 8)};
}

/// Calls `verify` with each of kFlips flips; it must throw an InputError that names the file.
template <typename Verify>
void every_flip_is_found(std::string const& folder, std::string const& ending, std::uint64_t seed,
                         Verify const& verify) {
    std::mt19937_64 random(seed);
    std::printf("seed %llu, %d flips\n", static_cast<unsigned long long>(seed), kFlips);
    for (int i = 0; i < kFlips; ++i) {
        auto const [file, bit] = random_place(folder, ending, random);
        Flip const flip(folder + "/" + file, bit);
        try {
            verify();
            ADD_FAILURE() << file << ", bit " << bit << ": not found";
        } catch (cluster::InputError const& error) {
            EXPECT_NE(std::string(error.what()).find(file), std::string::npos)
                << file << ": " << error.what();
        }
    }
    verify(); // as it was
}

/// A checkpoint of two rank files, two tensors, several hashed pieces.
class CheckpointFlips : public testing::Test {
  protected:
    void SetUp() override {
        std::mt19937 random(5);
        for (float& v : values_) v = std::normal_distribution<float>()(random);
        std::atomic<bool> const abandoned = false;
        std::int64_t const cut = 217 * 901 + 3, all = 500 * 901;
        auto const part = [&](std::int64_t first, std::int64_t count) {
            return checkpoint::flat_range("weight", "m", "f32", {500, 901},
                                          {first, count, values_.data() + first});
        };
        checkpoint::RankFile const a = checkpoint::write_rank_file(
            path(), "rank-00000.h5",
            {part(0, cut),
             checkpoint::flat_range("moment1", "v", "f32", {37}, {0, 37, values_.data()})},
            abandoned);
        checkpoint::RankFile const b =
            checkpoint::write_rank_file(path(), "rank-00001.h5", {part(cut, all - cut)}, abandoned);
        checkpoint::Manifest manifest{
            .state = {{"step", 3}}, .tensors = a.tensors, .files = {a.file, b.file}};
        for (auto const& piece : b.tensors[0].pieces) manifest.tensors[0].pieces.push_back(piece);
        manifest.files.push_back(checkpoint::write_virtual_file(path(), manifest.tensors));
        checkpoint::write_manifest(path(), manifest);
    }
    std::string const& path() const { return folder_.path(); }
    test::TemporaryFolder folder_;
    std::vector<float> values_ = std::vector<float>(std::size_t{500} * 901);
};

TEST_F(CheckpointFlips, VerifyFindsAll) {
    every_flip_is_found(path(), "", 11, [this] { checkpoint::Reader(path()).verify(); });
    test::record({.id = "F9",
                  .fault = "1,000 single bits flipped over the files of a checkpoint",
                  .outcome = "verify found every one and named the file"});
}

/// A read finds a flip in what it touches and names the tensor; a read of something else does not
/// meet it.
TEST_F(CheckpointFlips, AReadFindsThoseInWhatItTouches) {
    std::mt19937_64 random(12);
    std::int64_t const width = 901;
    for (int i = 0; i < kFlips; ++i) {
        std::int64_t const row = static_cast<std::int64_t>(random() % 500);
        checkpoint::Reader const sound(path());
        auto const* m = sound.manifest().find("weight", "m");
        auto const piece = std::ranges::find_if(m->pieces, [&](auto const& p) {
            auto const& r = p.rectangle;
            return row >= r.start[0] && row < r.start[0] + r.count[0];
        });
        ASSERT_NE(piece, m->pieces.end());
        auto const& r = piece->rectangle;
        std::int64_t const column =
            r.start[1] +
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(r.count[1]));
        std::int64_t const in_piece = (row - r.start[0]) * r.count[1] + column - r.start[1];
        Flip const flip(path() + "/" + piece->file,
                        static_cast<std::uint64_t>(piece->offset + in_piece * 4) * 8 +
                            random() % 32);
        std::vector<float> out(static_cast<std::size_t>(width));
        checkpoint::Reader const reader(path());
        try {
            reader.read(*m, row * width, width, out.data());
            ADD_FAILURE() << "row " << row << ", column " << column << ": not found";
        } catch (cluster::InputError const& error) {
            EXPECT_NE(std::string(error.what()).find("in tensor weight/m"), std::string::npos)
                << error.what();
        }
        std::int64_t const far = piece->file == "rank-00000.h5" ? 499 : 0; // in another file
        reader.read(*m, far * width, width, out.data());
        EXPECT_TRUE(std::equal(out.begin(), out.end(), values_.begin() + far * width));
    }
    test::record(
        {.id = "F9",
         .fault = "1,000 single bits flipped in rows that a read takes",
         .outcome = "the read found every one and named the tensor; reads elsewhere were sound"});
}

/// Its manifest has no hash of its own yet.
TEST(DataFlips, VerifyFindsAllInShards) {
    test::TemporaryFolder const folder;
    std::mt19937 random(3);
    data::Manifest manifest{
        .task = data::TaskKind::language_modeling, .vocabulary = 101, .max_length = 32};
    for (int shard = 0; shard < 2; ++shard) {
        std::vector<data::Sample> samples(40);
        for (auto& s : samples) {
            s.tokens.resize(3 + random() % 17);
            for (auto& token : s.tokens) token = static_cast<std::int32_t>(random() % 101);
            s.labels[data::kTokenLabels.name] = s.tokens;
        }
        manifest.splits["train"].shards.push_back(data::write_shard(
            folder.path(), "train-0000" + std::to_string(shard) + ".h5", samples, {}));
    }
    data::write_manifest(folder.path(), manifest);
    every_flip_is_found(folder.path(), ".h5", 13,
                        [&] { data::open_dataset(folder.path(), "train")->verify(0, 1); });
    test::record(
        {.id = "F9",
         .fault = "1,000 single bits flipped over the shards of a data set",
         .outcome = "the verification before training found every one and named the file"});
}

} // namespace
} // namespace trireme::framework
