#include "launch/under_mpi.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/faulty_communicator.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/host.hpp"
#include "cluster/mpi_communicator.hpp"
#include "cluster/process.hpp"
#include "cluster/watch.hpp"
#include "launch/launcher.hpp"

namespace trireme::launch {

namespace {

using namespace std::chrono_literals;

/// Whole seconds of TRIREME_START_DEADLINE, within which all ranks must have come to MPI_Init.
std::chrono::seconds start_deadline() {
    char const* const text = std::getenv("TRIREME_START_DEADLINE");
    if (!text) return 600s;
    constexpr long kMost = 31'536'000; // a year: added to a clock, it does not overflow
    std::string_view const digits = text;
    long seconds = 0;
    auto const [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc() || end != digits.data() + digits.size() || seconds < 1 ||
        seconds > kMost)
        throw cluster::InputError(fmt::format(
            "TRIREME_START_DEADLINE: {}: legal: whole seconds from 1 to {}", text, kMost));
    return std::chrono::seconds(seconds);
}

/// Tells Open MPI, while it starts, that this process came alone: programs that it starts inherit
/// nothing of that.
class Alone {
  public:
    /// Keeps Open MPI from starting a daemon in case the process wants to start others. Such
    /// processes all have the same name (Open MPI 4.1.4, ess_singleton_module.c), and with it the
    /// same session folder, in which one would remove what another is making: they have none, which
    /// one process has no use for. Keeps it from searching for a fabric, too, which takes 0.2 s.
    Alone() {
        set_unless_any_is_set(
            {{"OMPI_MCA_ess_singleton_isolated", "1"}, {"OMPI_MCA_orte_create_session_dirs", "0"}});
        set_unless_any_is_set({{"OMPI_MCA_pml", "ob1"}, {"OMPI_MCA_btl", "self"}});
    }
    ~Alone() {
        for (auto const* name : ours_) unsetenv(name);
    }
    Alone(Alone const&) = delete;
    Alone& operator=(Alone const&) = delete;

  private:
    using Settings = std::initializer_list<std::pair<char const*, char const*>>;
    void set_unless_any_is_set(Settings settings) {
        for (auto const& [name, value] : settings)
            if (std::getenv(name)) return;
        for (auto const& [name, value] : settings) {
            setenv(name, value, 1);
            ours_.push_back(name);
        }
    }
    std::vector<char const*> ours_;
};

std::unique_ptr<cluster::Environment> start_mpi() {
    int const rank = launcher_rank(); // MPI does not know it yet
    std::optional<Alone> alone;
    if (rank >= 0)
        cluster::set_fault_rank(rank);
    else
        alone.emplace();
    cluster::fault_point("start");
    check_session_folder();
    auto const limit = start_deadline();
    cluster::Patience const patience(limit,
                                     fmt::format("rank {}@{}: MPI_Init has not ended for {} s: "
                                                 "some rank did not come to it (which one, the "
                                                 "launcher knows)",
                                                 rank < 0 ? "?" : std::to_string(rank),
                                                 cluster::host_name(), limit.count()));
    int argc = 0;
    char** argv = nullptr;
    return std::make_unique<cluster::Environment>(argc, argv);
}

struct Failure {
    std::string line;
    int code;
};

/// Describes the exception in flight.
Failure failure_in_flight() {
    try {
        throw;
    } catch (cluster::InputError const& error) {
        return {cluster::line_of(error), cluster::kBadInput};
    } catch (std::bad_alloc const&) {
        return {"out of memory: an allocation failed (std::bad_alloc)", cluster::kFailed};
    } catch (std::exception const& error) {
        return {cluster::line_of(error), cluster::kFailed};
    } catch (...) {
        return {"failed with an exception of no known type", cluster::kFailed};
    }
}

/// All ranks usually find the same mistake: rank 0 reports it, and mpirun ends the others with it,
/// at the latest two of its time-outs later. A rank that is still there then has found a mistake of
/// its own.
std::chrono::seconds time_to_be_ended() {
    constexpr int kOpenMpis = 1, kMost = 60;
    char const* const set = std::getenv("OMPI_MCA_odls_base_sigkill_timeout");
    return std::chrono::seconds(2 * std::clamp(set ? std::atoi(set) : kOpenMpis, 0, kMost) + 1);
}

std::unique_ptr<cluster::Watch> make_watch(cluster::Communicator& world) {
    auto watch = std::make_unique<cluster::Watch>(world);
    if (world.rank() == 0 && world.size() > 1 && !watch->talks())
        cluster::say("trireme: note: MPI grants no MPI_THREAD_MULTIPLE: calls keep their "
                     "deadlines, but a rank "
                     "that hangs will not be named\n");
    return watch;
}

/// Runs `body` and waits for the other ranks. Returns its exit code. A failure ends the job, unless
/// there is one rank only.
int run_watched(std::function<int(cluster::Communicator& world)> const& body,
                cluster::Communicator& world, cluster::Watch& watch) {
    int code = 0;
    try {
        cluster::enter_phase("mpi/initialized");
        code = body(world);
        cluster::enter_phase("job/end");
        world.barrier("job/end"); // who is late is still watched by those who are done
    } catch (...) {
        auto const failure = failure_in_flight();
        if (failure.code == cluster::kBadInput && world.rank() > 0)
            std::this_thread::sleep_for(time_to_be_ended());
        watch.fail(failure.line, failure.code);
        if (world.size() == 1) throw;
        world.abort(failure.line, failure.code);
    }
    return code;
}

} // namespace

int under_mpi(std::function<int(cluster::Communicator& world)> const& body) {
    std::unique_ptr<cluster::Watch> watch; // outlives MPI, since MPI_Finalize may hang as well
    int code = 0, rank = 0, ranks = 1;
    {
        auto const environment = start_mpi();
        auto const world = cluster::with_faults(cluster::make_mpi_world({}));
        rank = world->rank(), ranks = world->size();
        cluster::set_fault_rank(rank);
        watch = make_watch(*world);
        code = run_watched(body, *world, *watch);
        watch->watch_teardown();
        cluster::enter_phase("mpi/finalize");
    }
    watch->end(code);
    return leave_in_order(rank, ranks, code);
}

} // namespace trireme::launch
