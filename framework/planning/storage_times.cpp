#include "framework/planning/storage_times.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/planning/timing.hpp"

namespace trireme::framework::planning {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

/// A file that is gone with the object.
class Probe {
  public:
    Probe(std::string const& folder, int rank)
        : folder_(folder), path_(fmt::format("{}/.calibrate-{}-{}", folder, getpid(), rank)),
          file_(open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
        if (file_ < 0) fail("open");
    }
    ~Probe() {
        close(file_);
        unlink(path_.c_str());
    }
    Probe(Probe const&) = delete;
    Probe& operator=(Probe const&) = delete;

    void write(std::size_t bytes) {
        std::string const piece(kPiece, 'x');
        for (std::size_t done = 0; done < bytes; done += kPiece)
            if (::write(file_, piece.data(), kPiece) != static_cast<ssize_t>(kPiece)) fail("write");
        if (fsync(file_) != 0) fail("fsync");
    }
    void forget() { posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED); }
    void read(std::size_t bytes) {
        std::string piece(kPiece, '\0');
        if (lseek(file_, 0, SEEK_SET) != 0) fail("lseek");
        for (std::size_t done = 0; done < bytes; done += kPiece)
            if (::read(file_, piece.data(), kPiece) != static_cast<ssize_t>(kPiece)) fail("read");
    }

  private:
    [[noreturn]] void fail(char const* call) const {
        throw cluster::InputError(fmt::format("--folder: {}: {}: {}; legal: a folder with room",
                                              folder_, call, cluster::reason_of(errno)));
    }
    std::string folder_, path_;
    int file_;
};

/// Seconds of the slowest rank.
double slowest(double seconds, cluster::Communicator& group) {
    group.all_reduce({&seconds, 1, cluster::DType::f64}, cluster::ReduceOp::max, "calibrate")
        .wait();
    return seconds;
}

} // namespace

StorageRates time_storage(std::string const& folder, std::size_t bytes,
                          cluster::Communicator& group) {
    Probe probe(folder, group.rank());
    group.barrier("calibrate");
    auto const start = Clock::now();
    probe.write(bytes);
    double const written = slowest(seconds_between(start, Clock::now()), group);
    probe.forget();
    group.barrier("calibrate");
    auto const again = Clock::now();
    probe.read(bytes);
    double const read = slowest(seconds_between(again, Clock::now()), group);
    double const all = static_cast<double>(bytes) * group.size();
    return {all / written, all / read};
}

} // namespace trireme::framework::planning
