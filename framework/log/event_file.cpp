#include "framework/log/event_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/host.hpp"

namespace trireme::framework::log {

namespace {

/// A protobuf message, field by field.
class Message {
  public:
    Message& varint(unsigned field, std::uint64_t value) {
        key(field, 0);
        put_varint(value);
        return *this;
    }
    Message& fixed64(unsigned field, double value) {
        key(field, 1);
        put_little_endian(std::bit_cast<std::uint64_t>(value), 8);
        return *this;
    }
    Message& fixed32(unsigned field, float value) {
        key(field, 5);
        put_little_endian(std::bit_cast<std::uint32_t>(value), 4);
        return *this;
    }
    /// A string, or a message inside this one.
    Message& bytes(unsigned field, std::string const& value) {
        key(field, 2);
        put_varint(value.size());
        text_ += value;
        return *this;
    }
    std::string const& text() const { return text_; }

    void put_little_endian(std::uint64_t value, int bytes) {
        for (int i = 0; i < bytes; ++i) text_ += static_cast<char>(value >> (8 * i) & 0xff);
    }

  private:
    void key(unsigned field, unsigned wire_type) { put_varint(field << 3 | wire_type); }
    void put_varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
        text_ += static_cast<char>(value);
    }
    std::string text_;
};

/// CRC-32C, masked as TFRecord does it (tensorflow/core/lib/hash/crc32c.h).
std::uint32_t masked_crc(std::string const& data) {
    boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> crc;
    crc.process_bytes(data.data(), data.size());
    return std::rotr(static_cast<std::uint32_t>(crc.checksum()), 15) + 0xa282ead8U;
}

double seconds_since_epoch() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// Fields of Event.
constexpr unsigned kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;

} // namespace

EventFile::EventFile(std::string const& folder)
    : path_(fmt::format("{}/events.out.tfevents.{:010.0f}.{}.{}", folder, seconds_since_epoch(),
                        cluster::host_name(), getpid())) {
    std::error_code failed; // shows when the file is opened
    std::filesystem::create_directories(folder, failed);
    file_.open(path_, std::ios::binary | std::ios::app);
    if (!file_)
        throw cluster::InputError(path_ + ": cannot be written: " + cluster::reason_of(errno) +
                                  "; legal: a run folder on a disk with room and write permission");
    record(Message{}
               .fixed64(kWallTime, seconds_since_epoch())
               .bytes(kFileVersion, "brain.Event:2")
               .text());
}

void EventFile::start_at(std::int64_t step) {
    std::string const start = Message{}.varint(1, 1).text(); // SessionLog.status = START
    record(Message{}
               .fixed64(kWallTime, seconds_since_epoch())
               .varint(kStep, static_cast<std::uint64_t>(step))
               .bytes(kSessionLog, start)
               .text());
}

void EventFile::write(std::int64_t step,
                      std::vector<std::pair<std::string, double>> const& scalars) {
    Message summary;
    for (auto const& [name, value] : scalars)
        summary.bytes(1, Message{}.bytes(1, name).fixed32(2, static_cast<float>(value)).text());
    record(Message{}
               .fixed64(kWallTime, seconds_since_epoch())
               .varint(kStep, static_cast<std::uint64_t>(step))
               .bytes(kSummary, summary.text())
               .text());
}

void EventFile::record(std::string const& event) {
    Message length, head_crc, data_crc;
    length.put_little_endian(event.size(), 8);
    head_crc.put_little_endian(masked_crc(length.text()), 4);
    data_crc.put_little_endian(masked_crc(event), 4);
    errno = 0;
    file_ << length.text() << head_crc.text() << event << data_crc.text() << std::flush;
    if (!file_)
        throw cluster::JobError(path_ +
                                ": write failed: " + cluster::reason_of(errno ? errno : EIO));
}

} // namespace trireme::framework::log
