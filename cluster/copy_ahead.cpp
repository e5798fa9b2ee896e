#include "cluster/copy_ahead.hpp"

#include <fmt/format.h>

#include <exception>
#include <string>

#include "cluster/error.hpp"
#include "cluster/process.hpp"

namespace trireme::cluster {

namespace {
void require(bool legal, char const* what) {
    if (!legal) throw JobError(std::string("[copy ahead] ") + what);
}
} // namespace

CopyAhead::CopyAhead(std::size_t bytes, int depth, void* reader, std::chrono::milliseconds deadline)
    : bytes_(bytes), reader_(reader), deadline_(deadline) {
    require(depth > 0, "a ring needs a depth of one or more");
    for (int i = 0; i < depth; ++i) slots_.emplace_back(bytes, side_.handle());
}

CopyAhead::~CopyAhead() {
    if (sent_ == 0) return;
    try {
        // the side stream is through with all before
        slot(sent_ - 1).copied.wait(deadline_, "the copy of a batch");
        // the device memory is freed on the side stream, after all that reads it
        follow(side_.handle(), reader_);
    } catch (std::exception const& error) {
        say("trireme: {}\n", error.what());
        // the device may still use it: it stays
        static_cast<void>(new std::deque<Slot>(std::move(slots_)));
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

void const* CopyAhead::take() {
    require(taken_ < sent_, "no batch has been sent");
    Slot const& s = slot(taken_++);
    s.copied.hold(reader_);
    return s.device.data();
}

void CopyAhead::done() {
    require(done_ < taken_, "no batch has been taken");
    slot(done_++).read.record(reader_);
}

} // namespace trireme::cluster
