// Tells people who wait how far something is.
#pragma once
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "cluster/counted.hpp"
#include "cluster/process.hpp"

namespace trireme::launch {

/// Lines on standard error, the first after 5 s on a terminal and after 30 s elsewhere, since what
/// is quick says nothing: "evaluated 256 of 2000 samples in 31 s; about 211 s to go".
class ShownProgress {
  public:
    explicit ShownProgress(std::string what) : what_(std::move(what)) {}

    void operator()(std::int64_t done, std::int64_t all) {
        auto const now = Clock::now();
        if (done == 0 || done == all || now - told_ < every_) return;
        told_ = now;
        auto const seconds = std::chrono::duration<double>(now - begun_).count();
        cluster::say("{} {} of {} in {:.0f} s; about {:.0f} s to go\n", what_, done,
                     cluster::counted(all, "sample"), seconds,
                     seconds / static_cast<double>(done) * static_cast<double>(all - done));
    }

  private:
    using Clock = std::chrono::steady_clock;
    std::string what_;
    std::chrono::seconds every_{isatty(STDERR_FILENO) != 0 ? 5 : 30};
    Clock::time_point begun_ = Clock::now(), told_ = begun_;
};

} // namespace trireme::launch
