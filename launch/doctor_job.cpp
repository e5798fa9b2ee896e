// Judges what the ranks of a job are to each other.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "cluster/counted.hpp"
#include "launch/doctor.hpp"

namespace trireme::launch {

namespace {

constexpr int kRoundTrips = 20;
// seconds; log lines of hosts further apart cannot be put in order
constexpr double kClockTolerance = 0.1;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

using Host = std::vector<RankFacts const*>;

std::map<std::string, Host> by_host(std::vector<RankFacts> const& ranks) {
    std::map<std::string, Host> hosts;
    for (auto const& r : ranks) hosts[r.host].push_back(&r);
    return hosts;
}

Finding judge_launcher(std::vector<RankFacts> const& ranks) {
    std::string const& launcher = ranks.front().launcher;
    auto const hosts = by_host(ranks).size();
    std::string const text =
        fmt::format("{}: {} rank{} on {} host{}", launcher, ranks.size(),
                    ranks.size() == 1 ? "" : "s", hosts, hosts == 1 ? "" : "s");
    char const* const tasks = std::getenv("SLURM_NTASKS");
    if (launcher == "srun without PMIx")
        return {Severity::problem, "launcher", text,
                "start with `srun --mpi=pmix` (see `srun --mpi=list`) or mpirun"};
    if (launcher == "none" && tasks && std::atoi(tasks) > 1)
        return {Severity::warning, "launcher",
                fmt::format("{}, in a Slurm job of {} tasks", text, tasks),
                "start with `srun --mpi=pmix` or mpirun, or all but one task's cores stay idle"};
    return {Severity::ok, "launcher",
            launcher == "none" ? text + " (start with mpirun or srun for more)" : text, ""};
}

/// Counts how the ranks of a host share its cores.
struct Binding {
    std::size_t used = 0, places = 0; ///< cores that some rank has; cores of each rank, summed
    bool shared = false;              ///< all ranks have the same
    std::string text;
};

Binding binding_of(std::string const& host, Host const& ranks) {
    std::set<int> used;
    Binding b;
    for (auto const* r : ranks) {
        used.insert(r->cores.begin(), r->cores.end());
        b.places += r->cores.size();
    }
    b.used = used.size();
    b.shared =
        std::ranges::all_of(ranks, [&](auto const* r) { return r->cores == ranks.front()->cores; });
    b.text = fmt::format("{}: {} on {} of {} ({})", host, cluster::counted(ranks.size(), "rank"),
                         b.used, cluster::counted(ranks.front()->cores_online, "core"),
                         b.shared && ranks.size() > 1 ? "all ranks share them"
                         : b.places == b.used         ? "each rank has its own"
                                                      : "overlapping");
    return b;
}

/// Says how a host's ranks take turns where they need not, or nothing.
std::optional<Finding> judge_sharing(Binding const& b, std::size_t ranks) {
    if (ranks > b.used)
        return Finding{
            Severity::warning, "binding", b.text + ": more ranks than cores, they take turns",
            "fewer ranks per host, or `--bind-to none` if the ranks are bound to few of its cores"};
    if (!b.shared && b.places > b.used)
        return Finding{Severity::warning, "binding",
                       b.text + ": two ranks are bound to one core while they have others",
                       "bind each rank to cores of its own: mpirun --map-by slot:PE=N, srun "
                       "--cpus-per-task=N --cpu-bind=cores"};
    return std::nullopt;
}

/// Cores and ranks of one host; the first trouble found, if any.
Finding judge_binding_of(std::string const& host, Host const& ranks) {
    Binding const b = binding_of(host, ranks);
    if (auto const found = judge_sharing(b, ranks.size())) return *found;
    int const asked = ranks.front()->slurm_cpus_per_task, used = static_cast<int>(b.used);
    if (asked > 0 && used < asked * static_cast<int>(ranks.size()))
        return {Severity::warning, "binding",
                fmt::format("{}: a rank has {}, SLURM_CPUS_PER_TASK is {}", b.text,
                            cluster::counted(ranks.front()->cores.size(), "core"), asked),
                "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK before srun (Slurm 22.05 and later "
                "do not pass it on)"};
    if (2 * used <= ranks.front()->cores_online)
        return {Severity::warning, "binding", b.text + ": half of the host or more stays idle",
                "mpirun --map-by slot:PE=N with N cores for a rank, or --bind-to none; srun "
                "--cpus-per-task=N"};
    return {Severity::ok, "binding", b.text, ""};
}

Finding judge_binding(std::vector<RankFacts> const& ranks) {
    Finding first;
    for (auto const& [host, on_it] : by_host(ranks)) {
        Finding const found = judge_binding_of(host, on_it);
        if (found.severity != Severity::ok) return found;
        if (first.item.empty()) first = found;
    }
    return first;
}

/// Returns the threads that training takes on a rank like `r` where nothing else is set.
std::int64_t usual_threads(RankFacts const& r, Host const& host) {
    auto const sharing =
        std::ranges::count_if(host, [&](auto const* other) { return other->cores == r.cores; });
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(r.cores.size()) / sharing);
}

/// Threads that training takes on a rank, and what would contradict it.
Finding judge_threads(std::vector<RankFacts> const& ranks) {
    RankFacts const& r = ranks.front();
    auto const hosts = by_host(ranks);
    auto const threads = usual_threads(r, hosts.at(r.host));
    std::string const text = fmt::format("numerics.threads 0 means {} for each rank here", threads);
    auto const needed = static_cast<double>(threads * std::ssize(hosts.at(r.host)));
    if (r.quota > 0 && r.quota < 0.99 * needed)
        return {Severity::warning, "threads",
                fmt::format("{}, but the control group allows {} the time of {:.1f} cores", text,
                            r.host, r.quota),
                fmt::format("ask for more CPU time, or set numerics.threads so that ranks x "
                            "threads is at most {:.0f}",
                            std::max(1.0, std::floor(r.quota)))};
    if (r.omp_threads > 0 && r.omp_threads != threads)
        return {Severity::warning, "threads",
                fmt::format("{}; OMP_NUM_THREADS is {}, which training does not look at", text,
                            r.omp_threads),
                fmt::format("set numerics.threads: {} if that is what you want", r.omp_threads)};
    return {Severity::ok, "threads", text, ""};
}

/// Something that must be the same on all ranks.
Finding judge_same(std::vector<RankFacts> const& ranks, std::string const& item,
                   std::string RankFacts::*what, Severity otherwise, char const* cure) {
    for (auto const& r : ranks)
        if (r.*what != ranks.front().*what)
            return {otherwise, item,
                    fmt::format("{} on {}, but {} on {}", ranks.front().*what, ranks.front().host,
                                r.*what, r.host),
                    cure};
    return {Severity::ok, item, ranks.front().*what, ""};
}

Finding judge_reproducibility() {
    char const* const set = std::getenv("MKL_CBWR");
    if (!set)
        return {Severity::ok, "bitwise", "MKL_CBWR is not set: bitwise mode sets AUTO,STRICT", ""};
    std::string const value = set;
    if (value.ends_with(",STRICT")) return {Severity::ok, "bitwise", "MKL_CBWR is " + value, ""};
    return {
        Severity::warning, "bitwise", "MKL_CBWR is " + value + ", and a value set by hand stays",
        "unset it, or append ,STRICT: bitwise mode needs results that do not depend on alignment"};
}

Finding judge_memory(std::vector<RankFacts> const& ranks) {
    Finding worst{Severity::ok, "memory", "", ""};
    double least = -1;
    for (auto const& [host, on_it] : by_host(ranks)) {
        std::int64_t left = on_it.front()->memory;
        for (auto const* r : on_it) left = std::min(left, r->memory);
        double const each = static_cast<double>(left) / static_cast<double>(on_it.size()) * 1e-9;
        if (least >= 0 && each >= least) continue;
        least = each;
        worst.text = fmt::format("{}: {:.1f} GB to be had, {:.1f} GB for each rank", host,
                                 static_cast<double>(left) * 1e-9, each);
    }
    if (least < 1) {
        worst.severity = Severity::warning;
        worst.cure =
            "compare with `trireme train CONFIG --dry-run`; fewer ranks per host, or sbatch --mem";
    }
    return worst;
}

Finding judge_shared_memory(std::vector<RankFacts> const& ranks) {
    for (auto const& [host, on_it] : by_host(ranks)) {
        auto const need = static_cast<std::int64_t>(on_it.size()) * 16 * kMiB;
        if (on_it.size() > 1 && on_it.front()->shared_memory < need)
            return {Severity::warning, "/dev/shm",
                    fmt::format("{}: {} MiB free for {} ranks", host,
                                on_it.front()->shared_memory / kMiB, on_it.size()),
                    "containers: --shm-size=1g; or remove what jobs that died left there"};
    }
    return {Severity::ok, "/dev/shm",
            fmt::format("{} MiB free", ranks.front().shared_memory / kMiB), ""};
}

Finding judge_network(std::vector<RankFacts> const& ranks) {
    char const* const include = std::getenv("OMPI_MCA_btl_tcp_if_include");
    char const* const exclude = std::getenv("OMPI_MCA_btl_tcp_if_exclude");
    std::string text =
        "interfaces up: " + (ranks.front().network.empty() ? "none" : ranks.front().network);
    if (include) text += fmt::format("; Open MPI's TCP takes {}", include);
    if (exclude) text += fmt::format("; Open MPI's TCP leaves out {}", exclude);
    bool const several = ranks.front().network.find(' ') != std::string::npos;
    if (by_host(ranks).size() == 1)
        return {Severity::ok, "network", text + " (one host: not needed)", ""};
    if (several && !include && !exclude)
        return {Severity::warning, "network",
                text + ": Open MPI's TCP may try all of them, and hang on one that leads nowhere",
                "export OMPI_MCA_btl_tcp_if_include=NET/BITS OMPI_MCA_oob_tcp_if_include=NET/BITS "
                "of the job's network"};
    return {Severity::ok, "network", text, ""};
}

Finding judge_clocks(std::vector<RankFacts> const& ranks) {
    auto const& worst = *std::ranges::max_element(
        ranks, {}, [](auto const& r) { return std::abs(r.clock_offset); });
    if (ranks.size() == 1) return {Severity::ok, "clocks", "one rank", ""};
    std::string const text = fmt::format(
        "at most {:.3f} ms apart (rank {} on {}, round trip {:.3f} ms)",
        std::abs(worst.clock_offset) * 1e3, worst.rank, worst.host, worst.round_trip * 1e3);
    // Half a round trip is what the measurement itself can be off by.
    if (std::abs(worst.clock_offset) - worst.round_trip / 2 > kClockTolerance)
        return {Severity::warning, "clocks", text,
                "let the hosts' clocks be set by NTP (chronyc tracking)"};
    return {Severity::ok, "clocks", text, ""};
}

} // namespace

namespace {

/// Sends a clock's time to `peer`, or receives one.
void say_time(cluster::Communicator& world, cluster::Message::Kind kind, int peer, double& value) {
    cluster::Message const message{kind, peer, {&value, 1, cluster::DType::f64}};
    world.exchange({&message, 1}, "doctor/clock").wait();
}

/// Answers a peer's question with this rank's clock.
void answer_with_time(cluster::Communicator& world, int peer) {
    double theirs = 0;
    say_time(world, cluster::Message::Kind::receive, peer, theirs);
    double own = now();
    say_time(world, cluster::Message::Kind::send, peer, own);
}

/// Asks rank 0 for its time. Of all questions the one with the shortest round trip counts.
void ask_for_time(cluster::Communicator& world, RankFacts& facts) {
    double start = now(), theirs = 0;
    say_time(world, cluster::Message::Kind::send, 0, start);
    say_time(world, cluster::Message::Kind::receive, 0, theirs);
    double const end = now();
    if (end - start >= facts.round_trip) return;
    facts.round_trip = end - start;
    facts.clock_offset = (start + end) / 2 - theirs;
}

} // namespace

void measure_clock(cluster::Communicator& world, RankFacts& facts) {
    for (int peer = 1; peer < world.size(); ++peer) {
        world.barrier("doctor/clock"); // nobody else is on the wire
        if (world.rank() != peer && world.rank() != 0) continue;
        facts.round_trip = HUGE_VAL;
        for (int i = 0; i < kRoundTrips; ++i)
            world.rank() == 0 ? answer_with_time(world, peer) : ask_for_time(world, facts);
    }
    if (world.rank() == 0) facts.round_trip = facts.clock_offset = 0;
}

Findings judge_job(std::vector<RankFacts> const& ranks) {
    return {judge_launcher(ranks),
            judge_binding(ranks),
            judge_threads(ranks),
            judge_same(ranks, "versions", &RankFacts::versions, Severity::problem,
                       "let all hosts run one build: a folder that all of them see"),
            judge_same(ranks, "processor", &RankFacts::processor, Severity::warning,
                       "bitwise mode promises equal bits on one kind of processor; sbatch "
                       "--constraint picks one"),
            judge_same(
                ranks, "instructions", &RankFacts::capability, Severity::warning,
                "bitwise mode needs one instruction set: export ATEN_CPU_CAPABILITY=avx2 on all"),
            judge_reproducibility(),
            judge_memory(ranks),
            judge_shared_memory(ranks),
            judge_network(ranks),
            judge_clocks(ranks)};
}

} // namespace trireme::launch
