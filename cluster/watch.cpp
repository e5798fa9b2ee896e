#include "cluster/watch.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstdlib>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "cluster/report.hpp"
#include "cluster/watch_talk.hpp"

namespace trireme::cluster {

using namespace std::chrono_literals;

namespace {

constexpr auto kTick = 20ms;
/// for the watch to end the job before the thread that waits for it goes on
constexpr auto kLastWord = 8s;

/// Looks at a rank of this host: its thread beats as long as it is neither stopped nor dead.
bool beats(FlightHeader const& h, FlightHeader const& own) {
    return std::string_view(h.host.data()) != own.host.data() ||
           own.heartbeat - h.heartbeat < 1'000'000'000;
}

} // namespace

Watch::Watch(Communicator& world)
    : recorder_(std::make_shared<FlightRecorder>(world.rank(), world.size())) {
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    if (world.size() > 1 && level == MPI_THREAD_MULTIPLE) {
        talk_ = std::make_unique<Talk>(*recorder_);
        recorder_->set_deadline_action([this] {
            talk_->raise({Alarm::Kind::deadline, 0, kFailed, "a call passed its deadline"});
            std::this_thread::sleep_for(kLastWord);
        });
    }
    world.set_observer(recorder_);
    thread_ = std::thread([this] { run(); });
}

Watch::~Watch() {
    {
        std::scoped_lock const lock(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
    recorder_->set_deadline_action(nullptr);
}

bool Watch::talks() const {
    return talk_ != nullptr;
}

void Watch::run() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        recorder_->beat();
        if (teardown_ != std::chrono::steady_clock::time_point{})
            check_teardown();
        else if (talk_)
            talk_->turn();
        wake_.wait_for(lock, kTick);
    }
}

void Watch::fail(std::string const& line, int code) {
    recorder_->end(FlightEnd::failed, code, line);
    if (!talk_) { // it speaks for itself; log.txt and status say the same
        claim_report(recorder_->run_folder(), {{recorder_->rank()}, one_line(line)});
        return;
    }
    talk_->raise({Alarm::Kind::error, 0, code, line});
    std::this_thread::sleep_for(kLastWord);
}

void Watch::watch_teardown() {
    std::scoped_lock const lock(mutex_);
    teardown_ = std::chrono::steady_clock::now();
}

void Watch::check_teardown() {
    if (std::chrono::steady_clock::now() - teardown_ < recorder_->deadline()) return;
    Flight const own = recorder_->snapshot();
    std::string missing;
    std::vector<int> guilty;
    try {
        for (auto const& f : read_flights(recorder_->run_folder()))
            if (f.header.end == FlightEnd::running &&
                (f.header.phase != own.header.phase || !beats(f.header, own.header))) {
                guilty.push_back(f.header.rank);
                missing += fmt::format("; rank {}@{} does not come: {}", f.header.rank,
                                       f.header.host.data(), where(f));
            }
    } catch (std::exception const& error) {
        missing = "; " + line_of(error);
    }
    give_up(std::move(guilty),
            fmt::format("MPI_Finalize has not ended for {} s{}",
                        std::chrono::duration<double>(recorder_->deadline()).count(), missing));
}

void Watch::give_up(std::vector<int> guilty, std::string const& line) {
    Verdict const verdict{std::move(guilty), one_line(line)};
    if (claim_report(recorder_->run_folder(), verdict)) {
        say("trireme: {}\n", verdict.line);
    }
    std::this_thread::sleep_for(200ms);
    std::_Exit(kFailed);
}

void Watch::end(int code) {
    recorder_->end(FlightEnd::well, code, "");
}

Patience::Patience(std::chrono::milliseconds limit, std::string line)
    : thread_([this, limit, line = std::move(line)] {
          std::unique_lock lock(mutex_);
          if (wake_.wait_for(lock, limit, [this] { return over_; })) return;
          say("trireme: {}\n", line);
          std::_Exit(kFailed);
      }) {}

Patience::~Patience() {
    {
        std::scoped_lock const lock(mutex_);
        over_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

} // namespace trireme::cluster
