#include "cluster/copy_back.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/process.hpp"

namespace trireme::cluster {

CopyBack::CopyBack(std::size_t bytes, void* stream, std::chrono::milliseconds deadline)
    : bytes_(bytes), stream_(stream), deadline_(deadline), pinned_(bytes) {}

CopyBack::~CopyBack() {
    if (sent_ == 0) return;
    try {
        copied_.wait(deadline_, "the copy of results");
    } catch (std::exception const& error) {
        say("trireme: {}\n", error.what());
        // the device may still write to it: it stays
        static_cast<void>(new PinnedMemory(std::move(pinned_)));
    }
}

void CopyBack::send(void const* device, std::size_t bytes) {
    if (sent_ > 0) throw JobError("[copy back] the result before has not been read");
    if (bytes == 0 || bytes > bytes_)
        throw JobError(fmt::format("[copy back] {} bytes of {}", bytes, bytes_));
    copy_on_stream(pinned_.data(), device, bytes, stream_);
    copied_.record(stream_);
    sent_ = bytes;
}

std::span<std::byte const> CopyBack::read() {
    if (sent_ == 0) throw JobError("[copy back] nothing was sent");
    copied_.wait(deadline_, "the copy of results");
    return {static_cast<std::byte const*>(pinned_.data()), std::exchange(sent_, 0)};
}

} // namespace trireme::cluster
