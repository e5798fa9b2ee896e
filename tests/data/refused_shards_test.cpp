#include <gtest/gtest.h>

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::data {
namespace {

TEST(Shards, ASampleWithoutAColumnOfItsTaskIsNotWritten) {
    test::TemporaryFolder const folder;
    Sample s = sample(4, 2);
    s.labels[kTokenLabels.name].pop_back();
    try {
        write_shard(folder.path(), "x.h5", {s}, {TaskKind::language_modeling});
        FAIL() << "written";
    } catch (cluster::JobError const& error) {
        EXPECT_STREQ(error.what(), "a sample has 3 values in column token_labels: legal: 4");
    }
}

TEST(Shards, OfAnotherTaskThanTheManifestSaysAreRefused) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path(), TaskKind::language_modeling);
    Manifest manifest = read_manifest(folder.path());
    manifest.task = TaskKind::classification;
    write_manifest(folder.path(), manifest);
    EXPECT_EQ(error_of([&] { open_dataset(folder.path(), "train"); }),
              folder.path() + "/manifest.json: train-00000.h5: column label/values: missing; "
                              "prepare the data again");
}

TEST(Shards, QuestionsOfATaskWithoutThemAreRefused) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path(), TaskKind::language_modeling);
    Manifest manifest = read_manifest(folder.path());
    manifest.splits.at("train").questions = {"questions-train.jsonl", ""};
    write_manifest(folder.path(), manifest);
    EXPECT_EQ(error_of([&] { read_manifest(folder.path()); }),
              folder.path() + "/manifest.json: splits.train.questions: legal: nothing, as the task "
                              "is language-modeling");
}

TEST(Shards, BadInputIsNamed) {
    test::TemporaryFolder const folder;
    EXPECT_NE(
        error_of([&] { open_dataset(folder.path(), "train"); }).find("manifest.json: no such file"),
        std::string::npos);
    make_dataset(folder.path());
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "dev");
              }).find("no split \"dev\"; legal: train"),
              std::string::npos);
    std::filesystem::resize_file(folder.path() + "/train-00000.h5", 512);
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "train");
              }).find("512 bytes, the manifest says"),
              std::string::npos);
    std::filesystem::remove(folder.path() + "/train-00000.h5");
    EXPECT_NE(error_of([&] { open_dataset(folder.path(), "train"); }).find("No such file"),
              std::string::npos);
    std::string text = cluster::read_file(folder.path() + "/manifest.json");
    text.replace(text.find("train-00000.h5"), 14, "../../etc/pass");
    cluster::write_file(folder.path() + "/manifest.json", text);
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "train");
              }).find("legal: the bare name of a file"),
              std::string::npos);
}

} // namespace
} // namespace trireme::data
