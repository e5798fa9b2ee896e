#include "cluster/device.hpp"

#include <fmt/format.h>

#include <thread>

#include "cluster/cuda.hpp"
#include "cluster/error.hpp"
#include "cluster/host.hpp"

namespace trireme::cluster {

void check_cuda(cudaError_t code, char const* call) {
    if (code != cudaSuccess)
        throw JobError(fmt::format("{}: {}: {}", host_name(), call, cudaGetErrorString(code)));
}

namespace {
cudaEvent_t as_event(void* handle) {
    return static_cast<cudaEvent_t>(handle);
}
} // namespace

Event::Event() {
    cudaEvent_t made = nullptr;
    check_cuda(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    handle_ = made;
}

Event::~Event() {
    if (handle_) cudaEventDestroy(as_event(handle_)); // streams that wait for it still do
}

void Event::record(void* stream) {
    check_cuda(cudaEventRecord(as_event(handle_), as_stream(stream)), "cudaEventRecord");
}

void Event::hold(void* stream) const {
    check_cuda(cudaStreamWaitEvent(as_stream(stream), as_event(handle_), 0), "cudaStreamWaitEvent");
}

bool Event::reached() const {
    cudaError_t const state = cudaEventQuery(as_event(handle_));
    if (state == cudaErrorNotReady) return false;
    check_cuda(state, "cudaEventQuery");
    return true;
}

void Event::wait(std::chrono::milliseconds deadline, std::string_view what) const {
    auto const start = std::chrono::steady_clock::now();
    while (!reached()) {
        if (std::chrono::steady_clock::now() - start > deadline)
            throw JobError(fmt::format("{}: {} passed its deadline of {} ms", host_name(), what,
                                       deadline.count()));
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
}

void follow(void* later, void* earlier) {
    if (later == earlier) return;
    Event point;
    point.record(earlier);
    point.hold(later);
}

Stream::Stream() {
    cudaStream_t made = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
    handle_ = made;
}

Stream::~Stream() {
    cudaStreamDestroy(as_stream(handle_));
}

DeviceMemory::DeviceMemory(std::size_t bytes, void* stream) : stream_(stream) {
    if (bytes > 0) check_cuda(cudaMallocAsync(&data_, bytes, as_stream(stream)), "cudaMallocAsync");
}

DeviceMemory::~DeviceMemory() {
    if (data_) cudaFreeAsync(data_, as_stream(stream_));
}

PinnedMemory::PinnedMemory(std::size_t bytes) {
    check_cuda(cudaHostAlloc(&data_, bytes, cudaHostAllocDefault), "cudaHostAlloc");
}

PinnedMemory::~PinnedMemory() {
    if (data_) cudaFreeHost(data_);
}

void copy_on_stream(void* to, void const* from, std::size_t bytes, void* stream) {
    if (bytes > 0)
        check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, as_stream(stream)),
                   "cudaMemcpyAsync");
}

void clear_on_stream(void* memory, std::size_t bytes, void* stream) {
    if (bytes > 0)
        check_cuda(cudaMemsetAsync(memory, 0, bytes, as_stream(stream)), "cudaMemsetAsync");
}

} // namespace trireme::cluster
