// Measures the cost of the watch: all-reduces of 8 bytes and of 4 MB between two ranks
// (docs/decisions/0002-watch.md).
//   for mode in serialized multiple watched; do mpirun -n 2 build/bin/bench_watch $mode; done
//   serialized  MPI_THREAD_SERIALIZED, nobody watches
//   multiple    MPI_THREAD_MULTIPLE, nobody watches
//   watched     MPI_THREAD_MULTIPLE, the watch runs and records every call (what Trireme does)
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <vector>

#include "cluster/mpi_communicator.hpp"
#include "cluster/watch.hpp"

using namespace trireme::cluster;

namespace {

/// Seconds to put one call on record, from its start to its end.
double record_seconds(FlightRecorder& recorder) {
    constexpr std::uint64_t kCalls = 1'000'000;
    auto const start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < kCalls; ++i) {
        recorder.on_start("data",
                          {i, Collective::all_reduce, "gradient/layers.11", DType::f32, 8, 0});
        recorder.on_wait("data", i);
        recorder.on_finish("data", i);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls;
}

/// Median and least seconds of a call, over batches.
std::pair<double, double> measure(Communicator& world, std::size_t floats, int calls) {
    std::vector<float> data(floats, 1.0F);
    std::vector<double> times;
    for (int batch = 0; batch < 21; ++batch) {
        world.barrier("batch");
        auto const start = std::chrono::steady_clock::now();
        for (int i = 0; i < calls; ++i)
            world.all_reduce({data.data(), floats, DType::f32}, ReduceOp::max, "gradient/layers.11")
                .wait();
        times.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
            calls);
    }
    std::ranges::sort(times);
    return {times[times.size() / 2], times.front()};
}

} // namespace

int main(int argc, char** argv) {
    std::string_view const mode = argc > 1 ? argv[1] : "";
    if (mode != "serialized" && mode != "multiple" && mode != "watched") {
        fmt::print(stderr, "bench_watch: {}: legal: serialized, multiple, watched\n", mode);
        return 2;
    }
    int granted = 0;
    MPI_Init_thread(&argc, &argv,
                    mode == "serialized" ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE, &granted);
    {
        auto const world = make_mpi_world({});
        std::unique_ptr<Watch> watch;
        if (mode == "watched") watch = std::make_unique<Watch>(*world);
        auto const [small, small_least] = measure(*world, 2, 5000);
        auto const [large, large_least] = measure(*world, 1 << 20, 20);
        if (world->rank() == 0)
            fmt::print(
                "{:<11} 8 B: {:6.2f} us (least {:6.2f})   4 MB: {:7.1f} us (least {:7.1f})\n", mode,
                1e6 * small, 1e6 * small_least, 1e6 * large, 1e6 * large_least);
        if (watch && world->rank() == 0) {
            FlightRecorder recorder(0, 1);
            fmt::print("{:<11} one call on record: {:.0f} ns\n", mode,
                       1e9 * record_seconds(recorder));
        }
        world->barrier("end");
    }
    MPI_Finalize();
}
