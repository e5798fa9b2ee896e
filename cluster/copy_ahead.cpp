#include "cluster/copy_ahead.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <string>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {
void require(bool legal, char const* what) {
    if (!legal) throw JobError(std::string("[copy ahead] ") + what);
}
} // namespace

CopyAhead::CopyAhead(std::size_t bytes, int depth, std::chrono::milliseconds deadline)
    : bytes_(bytes), deadline_(deadline) {
    require(depth > 0, "a ring needs a depth of one or more");
    for (int i = 0; i < depth; ++i) slots_.emplace_back(bytes, side_.handle());
}

CopyAhead::~CopyAhead() {
    try {
        for (auto& s : slots_) {
            if (!s.sent_before) continue;
            s.copied.wait(deadline_, "the copy of a batch");
            s.read.hold(side_.handle()); // the device memory is freed on the side stream
        }
    } catch (std::exception const& error) {
        fmt::print(stderr, "trireme: {}\n", error.what());
        std::abort(); // the copy still reads memory that is about to go
    }
}

std::span<std::byte> CopyAhead::stage() {
    require(sent_ - done_ < slots_.size(), "all batches of the ring are in use");
    Slot& s = slot(sent_);
    if (s.sent_before && !s.copied.reached()) {
        ++stalls_;
        s.copied.wait(deadline_, "the copy of a batch");
    }
    return {static_cast<std::byte*>(s.pinned.data()), bytes_};
}

void CopyAhead::send() {
    require(sent_ - done_ < slots_.size(), "all batches of the ring are in use");
    Slot& s = slot(sent_++);
    if (s.sent_before) s.read.hold(side_.handle());
    copy_on_stream(s.device.data(), s.pinned.data(), bytes_, side_.handle());
    s.copied.record(side_.handle());
    s.sent_before = true;
}

void const* CopyAhead::take(void* stream) {
    require(taken_ < sent_, "no batch has been sent");
    Slot const& s = slot(taken_++);
    s.copied.hold(stream);
    return s.device.data();
}

void CopyAhead::done(void* stream) {
    require(done_ < taken_, "no batch has been taken");
    slot(done_++).read.record(stream);
}

} // namespace trireme::cluster
