// How fast a checkpoint is written, beside dd with fsync on the same disk, and what a save in the
// background costs the steps above it.
//
//   cmake --build build --target bench_save && build/bin/bench_save FOLDER [MiB=512] [rounds=5]
//
// The rounds of a pair alternate, and medians are given, since disks are not steady.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "cluster/thread_communicator.hpp"
#include "framework/checkpoint/folder.hpp"
#include "framework/checkpoint/pending_save.hpp"
#include "framework/checkpoint/writer.hpp"

namespace {

using namespace trireme;
using namespace trireme::framework;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// A rank's share of a model: matrices of 16 MiB and a vector beside each.
std::vector<checkpoint::OwnedRange> ranges_over(std::vector<float> const& values) {
    std::vector<checkpoint::OwnedRange> ranges;
    constexpr std::int64_t kRows = 2048, kColumns = 2048, kEach = kRows * kColumns;
    for (std::int64_t at = 0; at + kEach <= static_cast<std::int64_t>(values.size()); at += kEach) {
        std::string const name = fmt::format("layers.{}", at / kEach);
        ranges.push_back(checkpoint::flat_range("weight", name + ".w", "f32", {kRows, kColumns},
                                                {0, kEach, values.data() + at}));
        ranges.push_back(checkpoint::flat_range("weight", name + ".b", "f32", {kColumns},
                                                {0, kColumns, values.data() + at}));
    }
    return ranges;
}

/// All that one rank does for a checkpoint, and what rank 0 does for all.
void save(std::string const& folder, std::int64_t step,
          std::vector<checkpoint::OwnedRange> const& ranges) {
    std::atomic<bool> const abandoned = false;
    fs::create_directories(checkpoint::staging_path(folder, step));
    checkpoint::RankFile const file = checkpoint::write_rank_file(
        checkpoint::staging_path(folder, step), "rank-00000.h5", ranges, abandoned);
    checkpoint::commit(folder, step, {.state = {}, .tensors = file.tensors, .files = {file.file}});
}

void beside_dd(std::string const& folder, std::int64_t mebibytes, int rounds,
               std::vector<checkpoint::OwnedRange> const& ranges) {
    std::vector<double> ours, theirs;
    std::string const dd = fmt::format(
        "dd if=/dev/zero of={}/dd bs=16M count={} conv=fsync 2> /dev/null", folder, mebibytes / 16);
    for (int round = 0; round < rounds; ++round) {
        auto start = Clock::now();
        if (std::system(dd.c_str()) != 0) throw std::runtime_error("dd failed");
        theirs.push_back(since(start));
        fs::remove(folder + "/dd");
        start = Clock::now();
        save(folder, round, ranges);
        ours.push_back(since(start));
        fs::remove_all(folder + "/" + checkpoint::checkpoint_name(round));
    }
    auto const rate = [&](double seconds) { return static_cast<double>(mebibytes) / seconds; };
    fmt::print("save: {:.0f} MiB/s, dd with fsync: {:.0f} MiB/s, ratio {:.2f} (medians of {} "
               "rounds of {} MiB)\n",
               rate(median(ours)), rate(median(theirs)), median(theirs) / median(ours), rounds,
               mebibytes);
}

/// Does as much arithmetic as one thread can in some milliseconds.
double compute() {
    double sum = 0;
    for (int i = 1; i < 4'000'000; ++i) sum += 1.0 / (static_cast<double>(i) * i);
    return sum;
}

/// Seconds for `steps` steps on `threads` threads, as a training step uses them; `between` after
/// each.
template <typename Between>
double steps_take(int steps, int threads, Between const& between) {
    auto const start = Clock::now();
    std::atomic<double> kept = 0;
    for (int s = 0; s < steps; ++s) {
        std::vector<std::jthread> workers;
        for (int t = 0; t < threads; ++t) workers.emplace_back([&] { kept = compute(); });
        workers.clear();
        between();
    }
    return since(start);
}

double cpu_seconds_of_this_thread() {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    auto const seconds = [](timeval const& t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void under_steps(std::string const& folder, int rounds,
                 std::vector<checkpoint::OwnedRange> const& ranges) {
    auto const threads = static_cast<int>(std::thread::hardware_concurrency());
    auto const world = std::move(cluster::make_thread_world(1, {}).front());
    double const one = steps_take(20, threads, [] {}) / 20;
    int const steps = static_cast<int>(4.0 / one); // longer than the save
    std::vector<double> alone, beside, writer, excess;
    for (int round = 0; round < rounds; ++round) {
        alone.push_back(steps_take(steps, threads, [] {}));
        std::atomic<double> cpu = 0;
        checkpoint::PendingSave pending(
            *world,
            [&] {
                save(folder, 100 + round, ranges);
                cpu = cpu_seconds_of_this_thread();
                return std::string();
            },
            [](auto const&) {}, [] {});
        beside.push_back(steps_take(steps, threads, [&] { pending.poll(); }));
        bool const over = pending.poll();
        pending.wait(std::chrono::minutes(10));
        if (!pending.error().empty()) throw std::runtime_error(pending.error());
        if (!over) fmt::print("note: the save outlasted the steps\n");
        fs::remove_all(folder + "/" + checkpoint::checkpoint_name(100 + round));
        writer.push_back(cpu);
        excess.push_back((beside.back() - alone.back() - cpu) / alone.back());
    }
    fmt::print("{} steps on {} threads: {:.2f} s, with a save beneath them {:.2f} s; the writer's "
               "own CPU time {:.2f} s; "
               "beyond it {:+.1f} % (medians of {} rounds)\n",
               steps, threads, median(alone), median(beside), median(writer), 100 * median(excess),
               rounds);
}

} // namespace

int main(int argc, char** argv) try {
    if (argc < 2) {
        fmt::print(stderr, "usage: bench_save FOLDER [MiB=512] [rounds=5]\n");
        return 2;
    }
    std::string const folder = std::string(argv[1]) + "/bench-save";
    std::int64_t const mebibytes = argc > 2 ? std::atoll(argv[2]) : 512;
    int const rounds = argc > 3 ? std::atoi(argv[3]) : 5;
    fs::create_directories(folder);
    std::vector<float> values(static_cast<std::size_t>(mebibytes) << 18);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(i * 2654435761U % 1'000'003);
    auto const ranges = ranges_over(values);
    beside_dd(folder, mebibytes, rounds, ranges);
    under_steps(folder, rounds, ranges);
    fs::remove_all(folder);
} catch (std::exception const& error) {
    fmt::print(stderr, "bench_save: {}\n", error.what());
    return 1;
}
