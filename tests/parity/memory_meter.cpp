#include "tests/parity/memory_meter.hpp"

#include <c10/core/Allocator.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace trireme::test {

namespace {

struct Count {
    std::atomic<std::int64_t> live = 0, peak = 0;

    void add(std::size_t bytes) {
        std::int64_t const now = live += static_cast<std::int64_t>(bytes);
        for (std::int64_t seen = peak; now > seen && !peak.compare_exchange_weak(seen, now);) {
        }
    }
    void remove(std::size_t bytes) { live -= static_cast<std::int64_t>(bytes); }
};
Count cpu, meta;

/// raw_allocate asserts that context and data are one pointer, so the size stands in front of the
/// data.
constexpr std::size_t kHeader = 64;

void free_counted(void* data) {
    if (data == nullptr) return;
    void* const start = static_cast<std::byte*>(data) - kHeader;
    cpu.remove(*static_cast<std::size_t*>(start));
    std::free(start);
}

struct CountingCpu : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        void* const start =
            std::aligned_alloc(kHeader, kHeader + (bytes + kHeader - 1) / kHeader * kHeader);
        if (start == nullptr) throw std::bad_alloc();
        *static_cast<std::size_t*>(start) = bytes;
        cpu.add(bytes);
        void* const data = static_cast<std::byte*>(start) + kHeader;
        return {data, data, &free_counted, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
    void copy_data(void* to, void const* from, std::size_t count) const override {
        default_copy_data(to, from, count);
    }
};

/// No memory: the context is the size itself.
struct CountingMeta : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        meta.add(bytes);
        return {nullptr, reinterpret_cast<void*>(bytes),
                [](void* size) { meta.remove(reinterpret_cast<std::size_t>(size)); },
                c10::Device(c10::DeviceType::Meta)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
    void copy_data(void*, void const*, std::size_t) const override {}
};

Count& count_of(c10::DeviceType device) {
    return device == c10::DeviceType::Meta ? meta : cpu;
}

} // namespace

MemoryMeter MemoryMeter::of(c10::DeviceType device) {
    static CountingCpu on_cpu;
    static CountingMeta on_meta;
    static bool const installed = [] {
        c10::SetAllocator(c10::DeviceType::CPU, &on_cpu, 255);
        c10::SetAllocator(c10::DeviceType::Meta, &on_meta, 255);
        return true;
    }();
    static_cast<void>(installed);
    return {device};
}

std::int64_t MemoryMeter::live() const {
    return count_of(device).live;
}
std::int64_t MemoryMeter::peak() const {
    return count_of(device).peak;
}
void MemoryMeter::reset_peak() const {
    count_of(device).peak = count_of(device).live.load();
}

} // namespace trireme::test
