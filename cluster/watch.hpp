// The watch of a job: a thread on every rank that sees calls that do not end, ranks that disagree
// and ranks that fail, has one rank report who is guilty, and ends the job. It talks over an MPI
// communicator of its own, never over NCCL.
//
// In quiet times a rank tells the next member of each of its groups the hashes of its calls, at
// most 50 small messages a second and group: what a rank does grows with the groups it is in, not
// with the size of the job. When something is wrong, the rank that sees it tells rank 0 (rank 1 or
// 2 if that does not answer), which asks all ranks for their flight records and judges what came
// within `kPatience`: one message each way per rank, once, at the end of a job.
//
// [Note: one report] Several ranks see the same trouble at one time. Each tells the reporter and
// none speaks itself; a reporter makes RUN/flight/verdict before it speaks, and who finds that file
// made keeps silent.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/flight_record.hpp"

namespace trireme::cluster {

class Watch {
  public:
    /// Makes the recorder of this process and sets it as the world's observer. Collective; MPI is
    /// initialised. Without MPI_THREAD_MULTIPLE the watch cannot talk: the records are kept, and a
    /// deadline is reported by each rank alone.
    explicit Watch(Communicator& world);
    ~Watch(); ///< ends the thread; local, and MPI may be over
    Watch(Watch const&) = delete;
    Watch& operator=(Watch const&) = delete;

    FlightRecorder& recorder() const { return *recorder_; }
    bool talks() const;

    /// This rank failed with `line`: reports it, once for all ranks, and ends the job with `code`.
    /// Returns only if the watch could not end it.
    void fail(std::string const& line, int code);
    /// MPI is about to end: no messages from now on. If MPI_Finalize takes longer than a call may,
    /// says who did not come to it and ends this process. Local.
    void watch_teardown();
    /// MPI is over, and this rank ended with `code`. Local.
    void end(int code);

  private:
    struct Talk;
    void run();
    void check_teardown();
    [[noreturn]] void give_up(std::vector<int> guilty, std::string const& line);

    std::shared_ptr<FlightRecorder> recorder_;
    std::unique_ptr<Talk> talk_; ///< null: a world of one, or no MPI_THREAD_MULTIPLE
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_ = false;
    std::chrono::steady_clock::time_point teardown_{};
    std::thread thread_;
};

/// Ends this process with `line` on standard error unless it is destroyed within `limit`: for calls
/// of a library that neither end nor take a deadline.
class Patience {
  public:
    Patience(std::chrono::milliseconds limit, std::string line);
    ~Patience();
    Patience(Patience const&) = delete;
    Patience& operator=(Patience const&) = delete;

  private:
    std::mutex mutex_;
    std::condition_variable wake_;
    bool over_ = false;
    std::thread thread_;
};

} // namespace trireme::cluster
