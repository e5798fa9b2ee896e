// Carries what the watches of a job say to each other. Only watch.cpp uses it, and only its thread
// but for `raise`.
#pragma once
#include <mpi.h>

#include <chrono>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/verdict.hpp"
#include "cluster/watch.hpp"

namespace trireme::cluster {

/// Holds what a rank found.
struct Alarm {
    enum class Kind : std::int32_t { deadline, mismatch, error } kind = Kind::deadline;
    std::int32_t rank = 0, code = kFailed;
    std::string line;
};

struct Watch::Talk {
    explicit Talk(FlightRecorder& flight_recorder);
    /// leaves the communicator to MPI_Finalize: freeing it is a collective, and the others may be
    /// gone
    ~Talk() = default;
    Talk(Talk const&) = delete;
    Talk& operator=(Talk const&) = delete;

    /// Tells the reporter. Any thread; the first alarm of a rank counts.
    void raise(Alarm alarm);
    /// Takes what came, sends what is due, judges if this rank reports.
    void turn();

  private:
    using Clock = std::chrono::steady_clock;
    enum class Tag : int { hashes = 1, alarm, ask, answer };
    struct Outgoing {
        std::string bytes;
        MPI_Request request;
    };
    struct Incoming {
        std::string bytes;
        MPI_Request request;
        int source;
        Tag tag;
    };
    struct Heard { ///< hashes of another member, until this rank has made the same calls
        std::size_t group;
        std::uint64_t generation;
        CallHashes calls;
        int source;
    };

    void send(int to, Tag tag, std::string bytes);
    void receive();
    /// Begins to receive the next message. Returns false if there is none.
    bool take_next();
    void handle(Incoming const& message);
    void take_answer(Incoming const& message);
    void hear(std::string_view bytes, int source);
    void tell_hashes();
    void compare();
    void tell_alarm();
    void answer(int asker);
    void begin_report();
    void judge();
    /// Tells which ranks did not answer, and takes what their files say instead.
    std::vector<bool> read_silent();
    /// Returns the error to report, or null. If several ranks say it, the first says it for them.
    Alarm const* first_error() const;
    Verdict verdict(Alarm const* error, std::vector<bool> const& silent) const;
    [[noreturn]] void end_job(Verdict verdict, int code);

    FlightRecorder& recorder_;
    MPI_Comm comm_ = MPI_COMM_NULL;
    int rank_ = 0, size_ = 1;
    std::list<Outgoing> outgoing_;
    std::list<Incoming> incoming_;
    struct Told {
        std::uint64_t generation = 0, calls = 0;
    };
    std::vector<Told> told_; ///< what was told, by group
    std::list<Heard> heard_;

    std::mutex mutex_;
    std::optional<Alarm> own_; ///< guarded by mutex_
    int candidate_ = -1;       ///< whom it was told to
    Clock::time_point told_at_{}, asked_at_{}, report_at_{};
    bool asked_ = false, reporting_ = false;
    std::vector<Alarm> alarms_; ///< alarms of all ranks, in the order of arrival
    Flights answers_;
};

} // namespace trireme::cluster
