#include "tests/device/tensors_on_standin.hpp"

#include <c10/core/Allocator.h>
#include <cuda_runtime.h>

#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <new>

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"
#include "tests/standin/machine.hpp"

namespace trireme::test {

namespace {

thread_local void* stream_of_rank = nullptr;

struct Block {
    std::size_t bytes;
    void* stream;
};
std::mutex mutex;
std::map<void*, Block> blocks; ///< on devices, by first address

void free_block(void* data) {
    if (data == nullptr) return;
    void* stream = nullptr;
    {
        std::lock_guard const lock(mutex);
        auto const found = blocks.find(data);
        if (found != blocks.end()) {
            stream = found->second.stream;
            blocks.erase(found);
        }
    }
    if (stream)
        cudaFreeAsync(data, static_cast<cudaStream_t>(stream));
    else
        std::free(data);
}

struct DeviceAllocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        void* data = nullptr;
        if (bytes > 0) data = stream_of_rank ? on_device(bytes) : on_host(bytes);
        return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
    void copy_data(void* to, void const* from, std::size_t count) const override { default_copy_data(to, from, count); }

  private:
    static void* on_host(std::size_t bytes) {
        constexpr std::size_t kAlignment = 64;
        void* const data = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
        if (!data) throw std::bad_alloc();
        return data;
    }
    static void* on_device(std::size_t bytes) {
        void* data = nullptr;
        if (cudaMallocAsync(&data, bytes, static_cast<cudaStream_t>(stream_of_rank)) != cudaSuccess)
            throw std::bad_alloc();
        std::lock_guard const lock(mutex);
        blocks[data] = {bytes, stream_of_rank};
        return data;
    }
};

bool on_device(void const* data) {
    std::lock_guard const lock(mutex);
    auto const after = blocks.upper_bound(const_cast<void*>(data));
    if (after == blocks.begin()) return false;
    auto const& [begin, block] = *std::prev(after);
    return static_cast<std::byte const*>(data) < static_cast<std::byte const*>(begin) + block.bytes;
}

} // namespace

TensorsOnStandin::TensorsOnStandin(void* stream) {
    static DeviceAllocator allocator;
    static bool const installed = [] {
        c10::SetAllocator(c10::DeviceType::CPU, &allocator, 255);
        return true;
    }();
    static_cast<void>(installed);
    stream_of_rank = stream;
    standin::compute_on(stream);
}

TensorsOnStandin::~TensorsOnStandin() {
    stream_of_rank = nullptr;
}

} // namespace trireme::test

namespace trireme::parallel {

// In the place of no_cuda_place.cpp.
int use_gpu(int) {
    throw cluster::JobError("ranks that are threads have their GPUs already");
}

TensorPlace place_of(at::Tensor const& tensor) {
    bool const empty = tensor.numel() == 0;
    if (test::stream_of_rank && (empty || test::on_device(tensor.data_ptr())))
        return {cluster::Device::cuda, test::stream_of_rank};
    return {cluster::Device::host, nullptr};
}

} // namespace trireme::parallel
