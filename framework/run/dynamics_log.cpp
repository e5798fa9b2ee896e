#include "framework/run/dynamics_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <ranges>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::framework::run {

namespace {

static_assert(std::endian::native == std::endian::little);

struct Header {
    std::array<char, 16> format{'t', 'r', 'i', 'r', 'e', 'm', 'e', '-',
                                'd', 'y', 'n', 'a', 'm', 'i', 'c', 's'};
    std::int64_t version = 1;
    std::int64_t samples = 0; ///< of the training split
};
constexpr std::int64_t kBytes = sizeof(SampleFinding);
static_assert(sizeof(Header) == sizeof(SampleFinding));

template <typename T>
std::string_view bytes_of(T const* values, std::size_t count) {
    return {reinterpret_cast<char const*>(values), count * sizeof(T)};
}

} // namespace

DynamicsLog::~DynamicsLog() {
    if (descriptor_ >= 0) close(descriptor_);
}

void DynamicsLog::fail(char const* what) const {
    throw cluster::JobError(path_ + ": " + what + " failed: " + cluster::reason_of(errno));
}

void DynamicsLog::open(std::int64_t step, std::int64_t samples) {
    if (path_.empty()) return;
    descriptor_ = ::open(path_.c_str(),
                         O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
    struct stat found {};
    if (descriptor_ < 0 || fstat(descriptor_, &found) != 0 || !S_ISREG(found.st_mode))
        throw cluster::InputError(path_ + ": cannot be written: " +
                                  (descriptor_ < 0 ? cluster::reason_of(errno) : "is no file") +
                                  "; legal: a regular file in the folder of the run");
    Header const wanted{.samples = samples};
    Header there{.version = 0};
    if (found.st_size < kBytes) {
        if (ftruncate(descriptor_, 0) != 0 ||
            !cluster::write_all(descriptor_, bytes_of(&wanted, 1)))
            fail("write");
    } else if (pread(descriptor_, &there, sizeof there, 0) != kBytes ||
               std::memcmp(&there, &wanted, sizeof there) != 0) {
        throw cluster::InputError(path_ + ": holds something else than the dynamics of this "
                                          "training split; legal: remove it, or another `run`");
    }
    cut(step);
}

std::int64_t DynamicsLog::step_of(std::int64_t record) const {
    SampleFinding found;
    if (pread(descriptor_, &found, sizeof found, (record + 1) * kBytes) != kBytes) fail("read");
    return found.step;
}

void DynamicsLog::cut(std::int64_t step) {
    if (path_.empty()) return;
    struct stat found {};
    if (fstat(descriptor_, &found) != 0) fail("stat");
    // A record that a killed job left half is cut off too.
    auto const records = std::views::iota(std::int64_t{0}, found.st_size / kBytes - 1);
    auto const kept = std::ranges::partition_point(
        records, [&](std::int64_t record) { return step_of(record) <= step; });
    std::int64_t const size = (1 + (kept - records.begin())) * kBytes;
    if (size != found.st_size && ftruncate(descriptor_, size) != 0) fail("truncate");
}

void DynamicsLog::append(std::vector<SampleFinding> findings) {
    if (path_.empty() || findings.empty()) return;
    // A batch larger than the split may have a sample twice: equal ones are told apart by loss, so
    // that no order of ranks is seen.
    std::ranges::sort(findings, {},
                      [](auto const& one) { return std::pair(one.sample, one.loss); });
    if (!cluster::write_all(descriptor_, bytes_of(findings.data(), findings.size()))) fail("write");
}

} // namespace trireme::framework::run
