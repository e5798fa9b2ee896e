// Who makes MPI progress? Three answers, measured side by side on one machine
// (docs/decisions/0001-mpi-progress.md):
//   polled     the computing thread tests its request between blocks of work (what Trireme does)
//   thread     one communication thread owns MPI and tests all the time
//   multiple   the computing thread only waits at the end; a heartbeat thread talks on a
//              communicator of its own
// Each step starts an all-reduce of 32 MB and computes 24 blocks of matrix products beside it.
//   mpirun -n 2 build/bin/bench_mpi_progress
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

constexpr int kFloats = 8 << 20, kBlocks = 24, kSide = 320, kSteps = 12;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::vector<float> a(kSide*kSide, 0.5F), b(kSide*kSide, 0.25F), c(kSide*kSide);

void block() {
    for (int i = 0; i < kSide; ++i)
        for (int k = 0; k < kSide; ++k) {
            float const x = a[static_cast<std::size_t>(i * kSide + k)];
            for (int j = 0; j < kSide; ++j)
                c[static_cast<std::size_t>(i * kSide + j)] +=
                    x * b[static_cast<std::size_t>(k * kSide + j)];
        }
}

struct Times {
    double step, compute; ///< seconds, medians
};

template <typename Start, typename Between, typename Finish>
Times measure(Start start, Between between, Finish finish) {
    std::vector<double> steps, computes;
    for (int s = 0; s < kSteps; ++s) {
        MPI_Barrier(MPI_COMM_WORLD);
        double const t0 = now();
        start();
        for (int i = 0; i < kBlocks; ++i) {
            block();
            between();
        }
        double const t1 = now();
        finish();
        steps.push_back(now() - t0);
        computes.push_back(t1 - t0);
    }
    std::ranges::sort(steps);
    std::ranges::sort(computes);
    return {steps[kSteps / 2], computes[kSteps / 2]};
}

/// Rank 0 sends a beat every 20 ms and rank 1 receives them, on a communicator of their own.
void heartbeat(MPI_Comm comm, int rank, std::atomic<bool>& over) {
    while (!over) {
        char beat = 0;
        MPI_Request request;
        rank == 0 ? MPI_Isend(&beat, 1, MPI_CHAR, 1, 7, comm, &request)
                  : MPI_Irecv(&beat, 1, MPI_CHAR, 0, 7, comm, &request);
        int done = 0;
        while (!done && !over) {
            MPI_Test(&request, &done, MPI_STATUS_IGNORE);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        if (!done) { // a last receive that no beat will answer
            MPI_Cancel(&request);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

} // namespace

int main(int argc, char** argv) {
    int granted = 0, rank = 0, size = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &granted);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (granted < MPI_THREAD_MULTIPLE || size != 2) {
        std::fprintf(stderr, "needs MPI_THREAD_MULTIPLE and 2 ranks\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    std::vector<float> data(kFloats, 1.0F);
    MPI_Request request = MPI_REQUEST_NULL;
    auto const begin = [&] {
        MPI_Iallreduce(MPI_IN_PLACE, data.data(), kFloats, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                       &request);
    };
    auto const wait = [&] {
        for (int done = 0; !done;) MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    };
    auto const nothing = [] {};

    Times const compute = measure(nothing, nothing, nothing);
    Times const reduce_only = measure([&] { begin(), wait(); }, nothing, nothing);
    Times const polled = measure(
        begin,
        [&] {
            int done = 0;
            MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        },
        wait);

    std::atomic<int> order = 0; // 1: a request waits for the thread, 2: it is done, 3: the end
    std::thread owner([&] {
        for (;;) {
            int const now_is = order;
            if (now_is == 3) return;
            if (now_is != 1) {
                std::this_thread::yield();
                continue;
            }
            begin();
            wait();
            order = 2;
        }
    });
    Times const thread = measure([&] { order = 1; }, nothing,
                                 [&] {
                                     while (order != 2) std::this_thread::yield();
                                 });
    order = 3;
    owner.join();

    MPI_Comm beats;
    MPI_Comm_dup(MPI_COMM_WORLD, &beats);
    std::atomic<bool> over = false;
    std::thread beater([&] { heartbeat(beats, rank, over); });
    Times const multiple = measure(begin, nothing, wait);
    over = true;
    beater.join();

    if (rank == 0) {
        std::printf("%-34s %8s %8s %10s\n", "", "step ms", "compute", "of compute");
        auto const row = [&](char const* name, Times const& t) {
            std::printf("%-34s %8.1f %8.1f %9.2fx\n", name, 1e3 * t.step, 1e3 * t.compute,
                        t.step / compute.step);
        };
        row("compute alone", compute);
        row("all-reduce, then compute", reduce_only);
        row("polled between blocks", polled);
        row("communication thread owns MPI", thread);
        row("THREAD_MULTIPLE and heartbeat", multiple);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}
