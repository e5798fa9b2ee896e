// Sums over ranks of a node: through memory that they share, and through MPI, in turns.
//   mpirun -n 2 build/bin/bench_node_collectives [MIB] [ROUNDS]
// Prints medians of milliseconds, and their ratio, for sizes up to MIB (32) of float32.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "cluster/environment.hpp"
#include "cluster/mpi_communicator.hpp"

using namespace trireme::cluster;

namespace {

double milliseconds(Communicator& world, Collective op, Buffer const& whole, int rounds) {
    std::vector<float> kept(whole.count / static_cast<std::size_t>(world.size()));
    std::vector<double> times;
    for (int round = 0; round <= rounds; ++round) {
        world.barrier("round");
        auto const start = std::chrono::steady_clock::now();
        if (op == Collective::all_reduce)
            world.all_reduce(whole, ReduceOp::sum, "bench").wait();
        else
            world.reduce_scatter(whole, {kept.data(), kept.size()}, ReduceOp::sum, "bench").wait();
        if (round > 0)
            times.push_back(
                1e3 *
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    std::ranges::sort(times);
    return times[times.size() / 2];
}

} // namespace

int main(int argc, char** argv) {
    Environment const environment(argc, argv);
    std::size_t const most = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 32;
    int const rounds = argc > 2 ? std::atoi(argv[2]) : 15;
    auto const memory = make_mpi_world({});
    auto const mpi = make_mpi_world({}, {.least_bytes = SIZE_MAX});
    std::vector<float> values(most << 18);
    for (auto const op : {Collective::all_reduce, Collective::reduce_scatter})
        for (std::size_t kib = 4; kib <= most << 10; kib *= 8) {
            Buffer const whole{values.data(), kib << 8};
            double const fast = milliseconds(*memory, op, whole, rounds),
                         slow = milliseconds(*mpi, op, whole, rounds);
            if (memory->rank() == 0)
                fmt::print("{:<15} {:>8} KiB  memory {:>9.3f} ms  MPI {:>9.3f} ms  {:.2f} times\n",
                           name_of(op), kib, fast, slow, slow / fast);
        }
}
