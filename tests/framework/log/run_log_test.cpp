#include "framework/log/run_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;

/// CRC-32C bit by bit, not by the library that the writer uses (RFC 3720, appendix B.4: "123456789"
/// gives e3069283).
std::uint32_t crc32c(std::string_view data) {
    std::uint32_t crc = 0xffffffffU;
    for (unsigned char const byte : data) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}
std::uint32_t masked(std::string_view data) {
    std::uint32_t const crc = crc32c(data);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

template <typename T>
T number_at(std::string_view data, std::size_t at) {
    T value{};
    std::memcpy(&value, data.data() + at, sizeof value);
    return value;
}

/// The fields of a protobuf message: number to raw bytes, varints as eight of them.
std::multimap<std::uint64_t, std::string> fields_of(std::string_view message) {
    std::multimap<std::uint64_t, std::string> fields;
    std::size_t at = 0;
    auto const varint = [&] {
        std::uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            auto const byte = static_cast<unsigned char>(message.at(at++));
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) return value;
        }
    };
    while (at < message.size()) {
        std::uint64_t const key = varint();
        if ((key & 7) == 0) {
            std::uint64_t const value = varint();
            fields.emplace(key >> 3,
                           std::string(reinterpret_cast<char const*>(&value), sizeof value));
            continue;
        }
        std::size_t const size = (key & 7) == 1 ? 8 : (key & 7) == 5 ? 4 : varint();
        fields.emplace(key >> 3, message.substr(at, size));
        at += size;
    }
    return fields;
}
std::string field(std::string_view message, std::uint64_t number) {
    auto const fields = fields_of(message);
    auto const found = fields.find(number);
    return found == fields.end() ? "" : found->second;
}

/// Messages of a file of records, each of whose lengths and checksums is verified.
std::vector<std::string> records_of(std::string const& path) {
    std::string const data = cluster::read_file(path);
    std::vector<std::string> records;
    for (std::size_t at = 0; at < data.size();) {
        auto const length = number_at<std::uint64_t>(data, at);
        EXPECT_EQ(number_at<std::uint32_t>(data, at + 8), masked(data.substr(at, 8)));
        if (at + 16 + length > data.size()) throw std::runtime_error("record is cut off");
        records.push_back(data.substr(at + 12, length));
        EXPECT_EQ(number_at<std::uint32_t>(data, at + 12 + length), masked(records.back()));
        at += 16 + length;
    }
    return records;
}

std::vector<std::string> files_in(std::string const& folder) {
    std::vector<std::string> files;
    for (auto const& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

std::vector<std::string> lines_of(std::string const& path) {
    std::istringstream text(cluster::read_file(path));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
}

TEST(RunLog, TensorBoardFileHasEveryNumberOfAStep) {
    ASSERT_EQ(crc32c("123456789"), 0xe3069283U);
    test::TemporaryFolder const folder;
    {
        log::RunLog log(folder.path(), 0);
        log.open();
        log.write({{"kind", "train"}, {"step", 7}, {"loss", 0.625}, {"learning_rate", 1e-4}});
        log.write(
            {{"kind", "evaluation"}, {"step", 300}, {"split", "validation"}, {"accuracy", 0.75}});
        log.write({{"kind", "performance"},
                   {"step", 300},
                   {"exposed", {{"tensor", {{"mean", 0.5}, {"most", 2.0}}}}},
                   {"utilisation", nullptr}});
        log.write({{"kind", "checkpoint"}, {"step", 300}, {"seconds", 2.0}});
    }
    auto const files = files_in(folder.path() + "/tensorboard");
    ASSERT_EQ(files.size(), 1U);
    EXPECT_NE(files[0].find("/events.out.tfevents."), std::string::npos)
        << "the name by which TensorBoard finds it";
    auto const records = records_of(files[0]);
    ASSERT_EQ(records.size(), 5U) << "version, start, three steps; no other event";
    EXPECT_EQ(field(records[0], 3), "brain.Event:2");
    EXPECT_EQ(number_at<std::uint64_t>(field(field(records[1], 7), 1), 0), 1U)
        << "SessionLog START";
    std::map<std::string, std::pair<std::uint64_t, float>> found;
    for (std::size_t i = 2; i < records.size(); ++i)
        for (auto const& [number, value] : fields_of(field(records[i], 5)))
            found[field(value, 1)] = {number_at<std::uint64_t>(field(records[i], 2), 0),
                                      number_at<float>(field(value, 2), 0)};
    std::map<std::string, std::pair<std::uint64_t, float>> const expected{
        {"train/loss", {7, 0.625F}},
        {"train/learning_rate", {7, 1e-4F}},
        {"performance/exposed/tensor/mean", {300, 0.5F}},
        {"performance/exposed/tensor/most", {300, 2.0F}},
        {"validation/accuracy", {300, 0.75F}}};
    EXPECT_EQ(found, expected);
}

TEST(RunLog, ALaterJobAddsAFileThatTakesBackWhatItRepeats) {
    test::TemporaryFolder const folder;
    for (int step : {5, 4}) { // the second job goes on from before the first one's end
        log::RunLog log(folder.path(), 0);
        log.open();
        log.write({{"kind", "train"}, {"step", step}, {"loss", 1.0}});
        // Files are named by second and process.
        for (auto const& file : files_in(folder.path() + "/tensorboard"))
            if (step == 5)
                fs::rename(file,
                           folder.path() + "/tensorboard/events.out.tfevents.0000000001.earlier");
    }
    auto const files = files_in(folder.path() + "/tensorboard");
    ASSERT_EQ(files.size(), 2U);
    auto const start = records_of(files[1]).at(1);
    EXPECT_FALSE(field(start, 7).empty());
    EXPECT_EQ(number_at<std::uint64_t>(field(start, 2), 0), 4U)
        << "readers forget step 4 and later";
}

TEST(RunLog, TextHasTheTerminalsLinesWithTheTimeAndNoControlCharacters) {
    test::TemporaryFolder const folder;
    std::string shown;
    for (int job = 0; job < 2; ++job) {
        testing::internal::CaptureStderr();
        log::RunLog log(folder.path(), 0);
        log.open();
        log.say("resumed at step 4 of 40");
        log.say("a name with \x1b[2K\r in it");
        log.progress(40, 40, "epoch 1.00  loss 0.1", 0);
        shown += testing::internal::GetCapturedStderr();
    }
    auto const lines = lines_of(folder.path() + "/log.txt");
    ASSERT_EQ(lines.size(), 6U) << "appended on resume";
    std::regex const stamped(R"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.*))");
    for (auto const& line : lines) {
        EXPECT_TRUE(std::ranges::none_of(line, [](unsigned char c) {
            return c < ' ' || c == 0x7f;
        })) << line;
        std::smatch match;
        ASSERT_TRUE(std::regex_match(line, match, stamped)) << line;
        bool const cleaned = line.find("a name") != std::string::npos;
        EXPECT_TRUE(cleaned || shown.find(match[1]) != std::string::npos) << line;
    }
    EXPECT_NE(lines[2].find("step 40/40  epoch 1.00  loss 0.1"), std::string::npos) << lines[2];
}

TEST(RunLog, TornLineIsEndedAndOtherRanksWriteNothing) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/metrics.jsonl", "{\"kind\": \"tra");
    log::RunLog log(folder.path(), 0);
    log.open();
    log.write({{"kind", "end"}, {"step", 1}});
    auto const lines = lines_of(folder.path() + "/metrics.jsonl");
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0], "{\"kind\": \"tra");
    EXPECT_TRUE(
        std::regex_match(lines[1], std::regex(R"(\{"kind":"end","step":1,"time":\d{10,}\.\d+\})")))
        << lines[1];
    log::RunLog other(folder.path() + "/other", 1);
    other.open();
    other.say("x");
    other.write({{"kind", "end"}, {"step", 1}});
    EXPECT_FALSE(fs::exists(folder.path() + "/other"));
}

TEST(RunLog, AFolderThatCannotBeWrittenIsNamed) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/file", "");
    try {
        log::RunLog(folder.path() + "/file/run", 0).open();
        FAIL() << "no error";
    } catch (cluster::InputError const& error) {
        EXPECT_NE(std::string(error.what()).find("/file/run/log.txt: cannot be written"),
                  std::string::npos);
    }
}

} // namespace
} // namespace trireme::framework
