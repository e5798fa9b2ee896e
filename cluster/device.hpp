// Streams, events and memory of the current GPU, without CUDA's headers: a stream is passed as
// void*, as in Buffer. Work on one stream runs in order; between streams only events order it, on
// the device, and the host goes on. Streams made here do not synchronise with the default stream.
// Every call is local and throws JobError with CUDA's own text; a build without CUDA refuses each
// of them (no_device.cpp).
#pragma once
#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

namespace trireme::cluster {

/// A point in a stream: all that the stream held when `record` was called. Move-only.
class Event {
  public:
    Event();
    ~Event();
    Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Event& operator=(Event&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }

    void record(void* stream);
    /// Makes whatever is queued on `stream` from now on run after the point.
    void hold(void* stream) const;
    bool reached() const; ///< never blocks
    /// Polls on the host. Throws JobError naming `what` past the deadline.
    void wait(std::chrono::milliseconds deadline, std::string_view what) const;

  private:
    void* handle_ = nullptr;
};

/// Makes work queued on `later` from now on run after all that `earlier` holds now. One stream
/// follows itself anyway.
void follow(void* later, void* earlier);

/// Owns a stream. Work that is queued when it is destroyed still runs.
class Stream {
  public:
    Stream();
    ~Stream();
    Stream(Stream const&) = delete;
    Stream& operator=(Stream const&) = delete;
    void* handle() const { return handle_; }

  private:
    void* handle_ = nullptr;
};

/// Device memory in the order of a stream: usable by what is queued there after, and freed after
/// what is queued there before its end. Other streams must follow that stream first, and it them
/// before the memory goes. Move-only.
class DeviceMemory {
  public:
    DeviceMemory(std::size_t bytes, void* stream);
    ~DeviceMemory();
    DeviceMemory(DeviceMemory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), stream_(other.stream_) {}
    DeviceMemory& operator=(DeviceMemory&&) = delete;
    void* data() const { return data_; }

  private:
    void* data_ = nullptr;
    void* stream_;
};

/// Host memory that a copy can read or write while the host goes on. Nothing in flight may touch it
/// when it goes.
class PinnedMemory {
  public:
    explicit PinnedMemory(std::size_t bytes);
    ~PinnedMemory();
    PinnedMemory(PinnedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    PinnedMemory& operator=(PinnedMemory&&) = delete;
    void* data() const { return data_; }

  private:
    void* data_ = nullptr;
};

/// Queues a copy between device and pinned memory in any direction.
void copy_on_stream(void* to, void const* from, std::size_t bytes, void* stream);
void clear_on_stream(void* memory, std::size_t bytes, void* stream);

} // namespace trireme::cluster
