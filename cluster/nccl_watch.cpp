#include "cluster/nccl_watch.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "cluster/cuda.hpp"
#include "cluster/error.hpp"
#include "cluster/process.hpp"

namespace trireme::cluster {

namespace {

constexpr auto kPeriod = std::chrono::milliseconds(20);

[[noreturn]] void end_job(std::string const& reason) {
    say("trireme: {}\n", reason);
    std::_Exit(kFailed);
}

} // namespace

NcclWatch::~NcclWatch() {
    {
        std::lock_guard const lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void NcclWatch::add(std::shared_ptr<NcclFlight> flight, std::string what,
                    std::chrono::steady_clock::time_point deadline) {
    std::lock_guard const lock(mutex_);
    watched_.push_back({std::move(flight), std::move(what), deadline});
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void NcclWatch::abort(NcclGroup& group) {
    std::lock_guard const lock(mutex_);
    watched_.remove_if([&](Watched const& w) { return w.flight->group.get() == &group; });
    group.abort();
}

void NcclWatch::run() try {
    check_cuda(cudaSetDevice(device_), "cudaSetDevice");
    std::unique_lock lock(mutex_);
    while (!stop_) {
        watched_.remove_if(is_through);
        changed_.wait_for(lock, kPeriod);
    }
} catch (std::exception const& error) {
    end_job(error.what());
}

bool NcclWatch::is_through(Watched const& watched) {
    if (watched.flight->end.reached()) return true;
    if (std::string const failure = watched.flight->group->failure(); !failure.empty())
        end_job(fmt::format("{}: {}", watched.what, failure));
    if (std::chrono::steady_clock::now() > watched.deadline)
        end_job(watched.what + " passed its deadline on the device");
    return false;
}

} // namespace trireme::cluster
