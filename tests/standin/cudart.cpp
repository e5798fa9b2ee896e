#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "tests/standin/state.hpp"

using namespace trireme::standin;

void trireme::standin::arrive(CUstream_st& stream, std::size_t task) {
    std::erase_if(stream.underway, [task](CUstream_st::Copy const& copy) {
        if (copy.task > task) return false;
        std::memcpy(copy.to, copy.bytes.data(), copy.bytes.size());
        return true;
    });
}

namespace {

/// Memory of the size asked for, with its name and the timeline that it is first known to.
void* allocate(State& s, std::size_t bytes, int timeline, char const* kind) {
    Allocation made{std::unique_ptr<std::byte, Free>(
                        static_cast<std::byte*>(::operator new(bytes, kAlignment))),
                    bytes, std::string_view(kind).starts_with("pinned")};
    void* const begin = made.bytes.get();
    poison(begin, bytes);
    s.memory.emplace(begin, std::move(made));
    s.order.add_memory(timeline, {begin, bytes}, fmt::format("{} of {} bytes", kind, bytes));
    return begin;
}

/// Returns null, with a violation, if it is not living memory.
Allocation* release(State& s, void* begin, int timeline) {
    s.order.remove_memory(timeline, begin);
    auto const found = s.memory.find(begin);
    if (found == s.memory.end() || found->second.freed) return nullptr;
    found->second.freed = true;
    return &found->second;
}

} // namespace

extern "C" {

char const* cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
    }
    return "unrecognized error code";
}

cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= state().options.devices) return cudaErrorInvalidDevice;
    set_current_device(device);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= state().options.devices) return cudaErrorInvalidDevice;
    *properties = {};
    std::strcpy(properties->name, "stand-in");
    properties->uuid.bytes[15] = static_cast<char>(device + 1);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    State& s = state();
    ++s.synchronisations;
    ++calls_of_host().blocking;
    for (auto const& stream : s.streams) {
        stream->drain();
        std::lock_guard const lock(s.mutex);
        arrive(*stream, CUstream_st::kAll);
        s.order.join(host_timeline(), s.order.clock(stream->timeline));
    }
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (flags != cudaStreamNonBlocking)
        s.order.violate("a stream that synchronises with the default stream");
    auto const number = s.streams.size();
    auto made = std::make_unique<CUstream_st>(s.options.seed * 1000 + number);
    made->timeline =
        s.order.add_timeline(fmt::format("stream {} of device {}", number, current_device()));
    made->longest_pause = s.options.longest_pause;
    if (s.options.lazy) made->permitted = 0;
    *stream = made.get();
    s.streams.push_back(std::move(made));
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    stream->destroyed = true; // its queue still runs
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    State& s = state();
    ++s.synchronisations;
    ++calls_of_host().blocking;
    Clock clock;
    {
        std::lock_guard const lock(s.mutex);
        if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
        if (!s.ordering("host waits for a stream", place())) return cudaSuccess;
        clock = s.order.clock(stream->timeline);
    }
    stream->drain();
    std::lock_guard const lock(s.mutex);
    arrive(*stream, CUstream_st::kAll);
    s.order.join(host_timeline(), clock);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    State& s = state();
    std::unique_lock lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    if (!s.ordering(stream->by_host ? "computing stream waits for event" : "stream waits for event",
                    event->place) ||
        !event->reached)
        return cudaSuccess;
    s.begin_work(*stream);
    s.order.join(stream->timeline, event->clock);
    stream->push([reached = event->reached, of = event->stream, task = event->task] {
        of->permit(task);
        reached->wait(false);
    });
    lock.unlock();
    if (stream->by_host) stream->drain();
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.require_device();
    s.events.push_back(std::make_unique<CUevent_st>());
    *event = s.events.back().get();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (std::erase_if(s.events, [&](auto const& e) { return e.get() == event; }) == 1)
        return cudaSuccess;
    s.order.violate("an event is destroyed twice");
    return cudaErrorInvalidResourceHandle;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    if (!s.ordering("record of event", place())) return cudaSuccess;
    s.begin_work(*stream);
    event->clock = s.order.clock(stream->timeline);
    event->number = s.records++;
    event->place = place();
    event->reached = std::make_shared<std::atomic<bool>>(false);
    event->looked_at = event->ignored = false;
    event->stream = stream;
    event->task = stream->push([reached = event->reached] {
        *reached = true;
        reached->notify_all();
    });
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.require_device();
    ++calls_of_host().queries;
    if (!event->reached) return cudaSuccess;
    if (is_blind_to(*event)) return cudaErrorNotReady;
    s.look(*event);
    if (event->ignored) return cudaSuccess;
    if (is_rank()) event->stream->permit(event->task);
    if (!*event->reached) return cudaErrorNotReady;
    arrive(*event->stream, event->task);
    s.order.join(host_timeline(), event->clock);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    ++state().synchronisations;
    ++calls_of_host().blocking;
    while (cudaEventQuery(event) == cudaErrorNotReady)
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    s.begin_work(*stream);
    *memory = allocate(s, bytes, stream->timeline, "device memory");
    return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    s.begin_work(*stream);
    Allocation const* const freed = release(s, memory, stream->timeline);
    if (!freed) return cudaErrorInvalidValue;
    if (stream->by_host) // what it held has run
        poison(memory, freed->size);
    else
        stream->push([memory, bytes = freed->size] { poison(memory, bytes); });
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.require_device();
    ++calls_of_host().blocking;
    *memory = allocate(s, bytes, host_timeline(), "pinned memory");
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    ++calls_of_host().blocking;
    Allocation const* const freed = release(s, memory, host_timeline());
    if (!freed) return cudaErrorInvalidValue;
    poison(memory, freed->size);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
    // what computes in the stream's place must not make the host see results early
    bool late = false;
    {
        std::lock_guard const lock(state().mutex);
        late = state().is_alive(stream) && stream->by_host && state().is_pinned(to);
        if (is_rank() && state().is_pinned(from))
            state().order.access(host_timeline(), {from, bytes}, true, "filling by the host");
    }
    return queue_work(stream, "copy", {{from, bytes}}, {{to, bytes}},
                      [=, task = stream->next_task()] {
                          if (!late) {
                              std::memcpy(to, from, bytes);
                              return;
                          }
                          std::lock_guard const lock(state().mutex);
                          auto const* const first = static_cast<std::byte const*>(from);
                          stream->underway.push_back({task, to, {first, first + bytes}});
                      });
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
    return queue_work(stream, "memset", {}, {{memory, bytes}},
                      [=] { std::memset(memory, value, bytes); });
}
}
