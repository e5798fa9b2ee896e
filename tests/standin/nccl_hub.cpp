#include "tests/standin/nccl_hub.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/standin/state.hpp"

namespace trireme::standin {

std::size_t size_of(ncclDataType_t type) {
    switch (type) {
    case ncclInt8:
    case ncclUint8: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32: return 4;
    default: return 8;
    }
}

std::string Call::text() const {
    constexpr char const* kNames[] = {"all-reduce", "reduce", "reduce-scatter", "all-gather",
                                      "broadcast",  "send",   "receive"};
    bool const rooted = kind == Kind::reduce || kind == Kind::broadcast;
    return fmt::format("{} of {} elements of type {}, operator {}{}",
                       kNames[static_cast<int>(kind)], count, static_cast<int>(type),
                       static_cast<int>(op), rooted ? fmt::format(", root {}", peer) : "");
}

Range Call::reads(int rank, int size) const {
    if (kind == Kind::receive || (kind == Kind::broadcast && rank != peer)) return {nullptr, 0};
    std::size_t const pieces = kind == Kind::reduce_scatter ? static_cast<std::size_t>(size) : 1;
    return {in, pieces * count * size_of(type)};
}

Range Call::writes(int rank, int size) const {
    if (kind == Kind::send || (kind == Kind::reduce && rank != peer)) return {nullptr, 0};
    std::size_t const pieces = kind == Kind::all_gather ? static_cast<std::size_t>(size) : 1;
    return {out, pieces * count * size_of(type)};
}

namespace {

float from_bf16(std::uint16_t x) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}
std::uint16_t to_bf16(float x) {
    auto const bits = std::bit_cast<std::uint32_t>(x);
    return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
T combine(T a, T b, ncclRedOp_t op) {
    return op == ncclSum ? static_cast<T>(a + b) : op == ncclMax ? std::max(a, b) : std::min(a, b);
}

template <typename T>
void accumulate(std::byte* total, std::byte const* piece, std::size_t count, ncclRedOp_t op) {
    for (std::size_t i = 0; i < count; ++i) {
        T a, b;
        std::memcpy(&a, total + i * sizeof(T), sizeof(T));
        std::memcpy(&b, piece + i * sizeof(T), sizeof(T));
        a = combine(a, b, op);
        std::memcpy(total + i * sizeof(T), &a, sizeof(T));
    }
}

/// Rounds after each addition, as NCCL does at each hop.
void accumulate_bf16(std::byte* total, std::byte const* piece, std::size_t count, ncclRedOp_t op) {
    auto* const a = reinterpret_cast<std::uint16_t*>(total);
    auto const* const b = reinterpret_cast<std::uint16_t const*>(piece);
    for (std::size_t i = 0; i < count; ++i)
        a[i] = to_bf16(combine(from_bf16(a[i]), from_bf16(b[i]), op));
}

void accumulate(std::byte* total, std::byte const* piece, Call const& c, std::size_t count) {
    switch (c.type) {
    case ncclUint8: return accumulate<std::uint8_t>(total, piece, count, c.op);
    case ncclInt32: return accumulate<std::int32_t>(total, piece, count, c.op);
    case ncclInt64: return accumulate<std::int64_t>(total, piece, count, c.op);
    case ncclFloat32: return accumulate<float>(total, piece, count, c.op);
    case ncclFloat64: return accumulate<double>(total, piece, count, c.op);
    case ncclBfloat16: return accumulate_bf16(total, piece, count, c.op);
    default: std::abort(); // no test uses it
    }
}

} // namespace

constexpr auto kPoll = std::chrono::microseconds(500); ///< permission to write comes without a word

struct Hub::Pending {
    Call call;
    std::uint64_t number; ///< of a collective
    std::shared_ptr<Letter> sent;
    bool finished = false;
};

void Hub::fail(std::string what) {
    if (!failure.empty()) return;
    failure = std::move(what);
    changed_.notify_all();
}

void Hub::post(Pending& pending, int rank) {
    Call const& c = pending.call;
    if (c.kind == Kind::receive) return;
    Range const input = c.reads(rank, size);
    auto const* const begin = static_cast<std::byte const*>(input.begin);
    Bytes bytes(begin, begin + input.bytes);
    if (c.kind == Kind::send) {
        pending.sent = std::make_shared<Letter>(Letter{std::move(bytes), c.text()});
        mail_[{rank, c.peer}].push_back(pending.sent);
        return;
    }
    Meeting& meeting = meetings_[pending.number];
    if (meeting.arrived == 0) meeting.what = c.text();
    if (meeting.what != c.text())
        fail(fmt::format("collective {}: rank {} calls {}, another rank {}", pending.number, rank,
                         c.text(), meeting.what));
    meeting.inputs.resize(static_cast<std::size_t>(size));
    meeting.inputs[static_cast<std::size_t>(rank)] = std::move(bytes);
    ++meeting.arrived;
}

bool Hub::finish(Pending& pending, int rank) {
    Call const& c = pending.call;
    if (c.kind == Kind::send) return pending.sent->taken;
    if (c.kind == Kind::receive) {
        auto& box = mail_[{c.peer, rank}];
        if (box.empty()) return false;
        auto const letter = box.front();
        box.pop_front();
        Range const into = c.writes(rank, size);
        if (letter->bytes.size() != into.bytes) {
            fail(fmt::format("rank {} receives {}, rank {} sent {}", rank, c.text(), c.peer,
                             letter->what));
            return true;
        }
        std::memcpy(c.out, letter->bytes.data(), into.bytes);
        return letter->taken = true;
    }
    Meeting& meeting = meetings_[pending.number];
    if (meeting.arrived < size) return false;
    std::size_t const bytes = c.count * size_of(c.type);
    auto input = [&](int r) -> Bytes const& {
        return *meeting.inputs[static_cast<std::size_t>(r)];
    };
    auto* const out = static_cast<std::byte*>(c.out);
    if (c.kind == Kind::broadcast) {
        std::memcpy(out, input(c.peer).data(), bytes);
    } else if (c.kind == Kind::all_gather) {
        for (int r = 0; r < size; ++r)
            std::memcpy(out + static_cast<std::size_t>(r) * bytes, input(r).data(), bytes);
    } else if (c.kind != Kind::reduce || rank == c.peer) {
        std::size_t const first =
            c.kind == Kind::reduce_scatter ? static_cast<std::size_t>(rank) * bytes : 0;
        Bytes total(input(0).begin() + static_cast<std::ptrdiff_t>(first),
                    input(0).begin() + static_cast<std::ptrdiff_t>(first + bytes));
        for (int r = 1; r < size; ++r)
            accumulate(total.data(), input(r).data() + first, c, c.count);
        std::memcpy(out, total.data(), bytes);
    }
    if (++meeting.left == size) meetings_.erase(pending.number);
    return true;
}

void Hub::run(std::vector<Call> const& calls, std::vector<std::uint64_t> const& numbers, int rank,
              std::atomic<bool> const& aborted, std::function<void()> const& pause,
              std::function<bool()> const& may_write) {
    std::vector<Pending> pending;
    for (std::size_t i = 0; i < calls.size(); ++i)
        pending.push_back({calls[i], numbers[i], nullptr});
    {
        std::lock_guard const lock(mutex);
        for (auto& p : pending) post(p, rank);
        changed_.notify_all();
    }
    for (auto const& c : calls)
        if (Range const w = c.writes(rank, size); w.bytes > 0) poison(c.out, w.bytes);
    pause();
    auto const start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex);
    ++waiting_;
    for (auto const& [peer, last] : last_queued_)
        if (peer != rank) last.first->demand(last.second);
    for (;;) {
        bool all = true, some = false;
        for (auto& p : pending) {
            if (p.finished || aborted || !failure.empty()) continue;
            p.finished = (p.call.writes(rank, size).bytes == 0 || may_write()) && finish(p, rank);
            all = all && p.finished;
            some = some || p.finished;
        }
        if (some) changed_.notify_all();
        if (all) break;
        if (std::chrono::steady_clock::now() - start > patience_)
            fail(fmt::format("rank {} waits for peers that do not come: {}", rank,
                             calls.front().text()));
        else
            changed_.wait_for(lock, kPoll);
    }
    --waiting_;
}

void Hub::queued(int rank, CUstream_st* stream, std::size_t task) {
    std::lock_guard const lock(mutex);
    last_queued_[rank] = {stream, task};
    if (waiting_ > 0) stream->demand(task);
}

} // namespace trireme::standin
