#include "cluster/communicator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/host.hpp"
#include "cluster/process.hpp"
#include "cluster/wait_observer.hpp"
#include "cluster/work_state.hpp"

namespace trireme::cluster {

namespace {

[[noreturn]] void misuse(std::string_view name, std::string const& what) {
    throw JobError(fmt::format("[communicator] '{}': {}", name, what));
}

void require_same_dtype(Buffer const& in, Buffer const& out, std::string_view name) {
    if (in.dtype != out.dtype)
        misuse(name,
               fmt::format("input is {} but output is {}", name_of(in.dtype), name_of(out.dtype)));
}

std::size_t sum(std::span<std::size_t const> counts) {
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

} // namespace

char const* name_of(DType dtype) {
    constexpr std::array<char const*, 6> kNames{"u8", "i32", "i64", "bf16", "f32", "f64"};
    return kNames[static_cast<std::size_t>(dtype)];
}

char const* name_of(Collective op) {
    constexpr std::array<char const*, 8> kNames{"all_reduce", "all_gather", "reduce_scatter",
                                                "all_to_all", "broadcast",  "exchange",
                                                "barrier",    "split"};
    return kNames[static_cast<std::size_t>(op)];
}

std::string host_name() {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string Work::State::what() const {
    return fmt::format("rank {}@{} of {}: {} #{} '{}' in group {}", rank, host_name(), size,
                       name_of(op), sequence, name, group);
}

Communicator::Communicator(int rank, int size, std::string group, CommunicatorOptions options)
    : rank_(rank), size_(size), group_(std::move(group)), options_(std::move(options)) {}

template <typename Begin>
Work Communicator::start(CallRecord record, Begin const& begin) {
    record.sequence = sequence_++;
    if (options_.observer) options_.observer->on_start(group_, record);
    auto state = std::make_unique<Work::State>();
    *state = {
        nullptr, group_, std::string(record.name),         record.op,         record.sequence,
        rank_,   size_,  std::chrono::steady_clock::now(), options_.deadline, options_.observer,
        false};
    state->operation = begin();
    if (state->operation) return Work(std::move(state));
    if (options_.observer) options_.observer->on_finish(group_, record.sequence);
    return {};
}

Work Communicator::start(Call const& call, std::string_view name, std::size_t bytes_on_wire) {
    return start({0, call.op, name, call.in.dtype, call.in.count, bytes_on_wire},
                 [&] { return size_ == 1 ? do_alone(call.in, call.out) : do_collective(call); });
}

std::unique_ptr<Operation> Communicator::do_alone(Buffer in, Buffer out) {
    if (in.data != out.data && in.bytes() > 0) std::memmove(out.data, in.data, in.bytes());
    return nullptr;
}

Work Communicator::all_reduce(Buffer inout, ReduceOp op, std::string_view name) {
    auto const n = static_cast<std::size_t>(size_);
    return start({.op = Collective::all_reduce, .in = inout, .out = inout, .reduce = op}, name,
                 2 * (n - 1) * inout.bytes() / n);
}

Work Communicator::all_gather(Buffer in, Buffer out, std::string_view name) {
    auto const n = static_cast<std::size_t>(size_);
    require_same_dtype(in, out, name);
    if (out.count != n * in.count)
        misuse(name, fmt::format("all_gather of {} by {} ranks into {}", in.count, n, out.count));
    return start({.op = Collective::all_gather, .in = in, .out = out}, name, (n - 1) * in.bytes());
}

Work Communicator::reduce_scatter(Buffer in, Buffer out, ReduceOp op, std::string_view name) {
    auto const n = static_cast<std::size_t>(size_);
    require_same_dtype(in, out, name);
    if (in.count != n * out.count)
        misuse(name, fmt::format("reduce_scatter of {} to {} ranks of {}", in.count, n, out.count));
    return start({.op = Collective::reduce_scatter, .in = in, .out = out, .reduce = op}, name,
                 (n - 1) * out.bytes());
}

Work Communicator::all_to_all(Buffer in, std::span<std::size_t const> send_counts, Buffer out,
                              std::span<std::size_t const> receive_counts, std::string_view name) {
    auto const n = static_cast<std::size_t>(size_), own = static_cast<std::size_t>(rank_);
    require_same_dtype(in, out, name);
    if (send_counts.size() != n || receive_counts.size() != n)
        misuse(name, fmt::format("all_to_all needs {} counts", n));
    if (sum(send_counts) > in.count || sum(receive_counts) > out.count)
        misuse(name, "all_to_all counts exceed the buffers");
    std::size_t const sent = (sum(send_counts) - send_counts[own]) * size_of(in.dtype);
    CallRecord const record{0, Collective::all_to_all, name, in.dtype, in.count, sent};
    return start(record, [&] {
        if (size_ == 1)
            return do_alone(in.slice(0, send_counts[0]), out.slice(0, receive_counts[0]));
        return do_collective({.op = Collective::all_to_all,
                              .in = in,
                              .out = out,
                              .send_counts = send_counts,
                              .receive_counts = receive_counts});
    });
}

Work Communicator::broadcast(Buffer inout, int root, std::string_view name) {
    if (root < 0 || root >= size_)
        misuse(name, fmt::format("broadcast from rank {} of {}", root, size_));
    std::size_t const sent = rank_ == root && size_ > 1 ? inout.bytes() : 0;
    return start({.op = Collective::broadcast, .in = inout, .out = inout, .root = root}, name,
                 sent);
}

Work Communicator::exchange(std::span<Message const> messages, std::string_view name) {
    std::size_t sent = 0, elements = 0;
    for (auto const& m : messages) {
        if (m.peer < 0 || m.peer >= size_ || m.peer == rank_)
            misuse(name, fmt::format("exchange with rank {} of {}", m.peer, size_));
        if (m.kind != Message::Kind::send) continue;
        sent += m.buffer.bytes();
        elements += m.buffer.count;
    }
    if (auto* const observer = dynamic_cast<WaitObserver*>(options_.observer.get()))
        observer->on_messages(group_, messages);
    auto const dtype = messages.empty() ? DType::u8 : messages[0].buffer.dtype;
    CallRecord const record{0, Collective::exchange, name, dtype, elements, sent};
    return start(record, [&] {
        if (messages.empty()) return std::unique_ptr<Operation>();
        return do_collective({.op = Collective::exchange, .messages = messages});
    });
}

void Communicator::barrier(std::string_view name) {
    CallRecord const record{0, Collective::barrier, name, DType::u8, 0, 0};
    start(record, [&] {
        return size_ == 1 ? nullptr : do_collective({.op = Collective::barrier});
    }).wait();
}

std::unique_ptr<Communicator> Communicator::split(int color, int key, std::string_view group) {
    std::unique_ptr<Communicator> result;
    CallRecord const record{0, Collective::split, group, DType::u8, 0, 0};
    start(record, [&]() -> std::unique_ptr<Operation> {
        result = do_split(color, key, std::string(group), options_);
        return nullptr;
    }).wait();
    return result;
}

void Communicator::abort(std::string_view reason, int code) {
    say("trireme: rank {}@{}: {}\n", rank_, host_name(), reason);
    // mpirun forwards the line before it adds its own
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    do_abort(code);
    std::_Exit(kFailed);
}

} // namespace trireme::cluster
