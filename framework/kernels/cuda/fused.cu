// Runs the programs of framework/kernels/fused on a GPU: a row for each block of threads. Compiled
// with -fmad=false: the updates of the CPU fuse no multiply-adds either.
#include "framework/kernels/fused/programs.hpp"

namespace trireme::framework::kernels::fused {

namespace {

/// The threads of a block as a team.
struct Block {
    __device__ int lane() const { return static_cast<int>(threadIdx.x); }
    __device__ int lanes() const { return static_cast<int>(blockDim.x); }
    __device__ void wait() const { __syncthreads(); }

    template <typename S>
    __device__ S* shared() const {
        __shared__ S places[512];
        return places;
    }
    template <typename S>
    __device__ S sum(S x) const {
        return reduce(x, [](S a, S b) { return a + b; });
    }
    template <typename S>
    __device__ S highest(S x) const {
        return reduce(x, [](S a, S b) { return a > b ? a : b; });
    }
    template <typename S>
    __device__ S lowest(S x) const {
        return reduce(x, [](S a, S b) { return a < b ? a : b; });
    }

  private:
    /// Within each warp in a butterfly, then the warps' results in their order: every thread has
    /// the same bits, those of every run.
    template <typename S, typename F>
    __device__ S reduce(S x, F const& f) const {
        __shared__ S warps[32];
        for (int offset = 16; offset > 0; offset /= 2)
            x = f(x, __shfl_xor_sync(0xFFFFFFFFu, x, offset));
        if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
        __syncthreads();
        S all = warps[0];
        for (int w = 1; w < lanes() / 32; ++w) all = f(all, warps[w]);
        __syncthreads(); // before anyone writes again
        return all;
    }
};

template <int V, typename Program>
__global__ void __launch_bounds__(Program::kLanes) each_row(Program program) {
    program.template run<V>(Block{}, static_cast<std::int64_t>(blockIdx.x));
}

/// Threads of a block: whole warps, no more than there is work for.
template <typename Program>
unsigned lanes_of(Program const& program, int pack) {
    std::int64_t const wanted = (program.columns() / pack + 31) / 32 * 32;
    return static_cast<unsigned>(wanted < 32 ? 32
                                 : wanted > Program::kLanes ? Program::kLanes : wanted);
}

} // namespace

template <typename Program>
bool launch(Program const& program, void* stream) {
    auto const blocks = static_cast<unsigned>(program.rows());
    if (blocks == 0) return true;
    auto* const queue = static_cast<cudaStream_t>(stream);
    if (program.packed())
        each_row<Program::kPack>
            <<<blocks, lanes_of(program, Program::kPack), 0, queue>>>(program);
    else
        each_row<1><<<blocks, lanes_of(program, 1), 0, queue>>>(program);
    return cudaGetLastError() == cudaSuccess;
}

#define TRIREME_LAUNCH(...) template bool launch(__VA_ARGS__ const&, void*);
TRIREME_FUSED_PROGRAMS(TRIREME_LAUNCH)

} // namespace trireme::framework::kernels::fused
