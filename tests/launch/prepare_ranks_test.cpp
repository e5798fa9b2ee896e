// prepare under mpirun: the ranks divide the rows among them, and the bytes are those of one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

class PrepareByRanks : public Prepare {
  protected:
    Outcome by(int ranks, std::vector<std::string> const& more) const {
        std::vector<std::string> all{"prepare", "--tokenizer", kTokenizer, "--output",
                                     out(fmt::format("out{}", ranks).c_str())};
        all.insert(all.end(), more.begin(), more.end());
        return run_command(trireme(ranks, all));
    }
    /// Paths and content of every file that was written, by names.
    std::string content(int ranks) const {
        std::vector<std::string> files;
        std::string const folder = out(fmt::format("out{}", ranks).c_str());
        for (auto const& entry : fs::directory_iterator(folder))
            files.push_back(entry.path().filename().string() + " " +
                            cluster::xxh3_of_file(entry.path().string()));
        std::ranges::sort(files);
        return fmt::format("{}", fmt::join(files, "\n"));
    }
};

constexpr char const* kLong = "film film film film film film film film film film film film";

/// More rows than three batches, of texts that give none, one or several samples.
std::string rows() {
    std::string text;
    for (int i = 0; i < 7000; ++i) {
        std::string words = i % 97 == 0 ? " " : "the film";
        for (int w = 0; w < i % 23; ++w) words += w % 3 ? " is good" : " not great";
        text += fmt::format("{{\"text\": \"{}\", \"label\": \"{}\", \"more\": \"{}\"}}\n", words,
                            i % 2 ? "yes" : "no", i == 3000 ? kLong : "good");
    }
    return text;
}

TEST_F(PrepareByRanks, WritesTheSameBytesAtOneTwoAndFour) {
    std::string const input = file("rows.jsonl", rows());
    std::vector<std::string> const tasks[] = {
        {"--task", "language-modeling", "--max-length", "16"},
        {"--task", "classification", "--label", "label", "--stratify"}};
    for (auto more : tasks) {
        SCOPED_TRACE(more[1]);
        more.insert(more.end(), {"--input", input, "--samples-per-shard", "1000"});
        auto const alone = by(0, more);
        ASSERT_EQ(alone.exit_code, 0) << alone.output;
        for (int const ranks : {1, 2, 4}) {
            auto const outcome = by(ranks, more);
            ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
            EXPECT_EQ(content(ranks), content(0)) << ranks << " ranks";
            EXPECT_TRUE(has(outcome.output, "7000 rows read")) << outcome.output;
            fs::remove_all(out(fmt::format("out{}", ranks).c_str()));
        }
        fs::remove_all(out("out0"));
    }
}

TEST_F(PrepareByRanks, AFileWhoseNameIsNoTextIsOneSource) {
    std::vector<std::string> const more{"--task", "classification", "--label",
                                        "label",  "--train",        file("rows\xff.jsonl", rows())};
    for (int const ranks : {0, 2}) {
        auto const outcome = by(ranks, more);
        ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
    }
    EXPECT_EQ(content(2), content(0));
}

TEST_F(PrepareByRanks, EndTogetherWithOneMessageAndLeaveNothing) {
    // The prompt of row 3001 leaves no room: the second rank meets it, as it does the second batch.
    std::string const input = file("rows.jsonl", rows());
    auto const outcome = by(2, {"--task", "generation", "--prompt", "more", "--completion", "label",
                                "--stop", "[SEP]", "--max-length", "8", "--train", input});
    EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
    std::string const line = "rows.jsonl:3001: more: a prompt of";
    auto const first = outcome.output.find(line);
    ASSERT_NE(first, std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find(line, first + 1), std::string::npos) << outcome.output;
    std::vector<std::string> left;
    for (auto const& entry : fs::directory_iterator(folder_.path()))
        left.push_back(entry.path().filename().string());
    EXPECT_EQ(left, std::vector<std::string>{"rows.jsonl"});
}

} // namespace
} // namespace trireme::test
