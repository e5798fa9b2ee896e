#include "cluster/flight_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/flight_block.hpp"
#include "cluster/host.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::cluster {

namespace {

std::atomic<FlightRecorder*> recorder = nullptr;
std::atomic<int> handlers = 0; ///< of signals, that are using it
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<FlightRecorder*>::is_always_lock_free);

/// Hashes what must be the same on every member, chained, so that a difference stays one for good.
std::uint32_t chained(std::uint32_t before, CallRecord const& call) {
    // Counts differ by right in an all-to-all, and groups that are split off at once may have names
    // of their own.
    bool const counts = call.op != Collective::all_to_all, names = call.op != Collective::split;
    struct {
        std::uint64_t count;
        std::uint32_t before, op, dtype, name;
    } const key{counts ? call.count : 0, before, static_cast<std::uint32_t>(call.op),
                static_cast<std::uint32_t>(call.dtype),
                names ? static_cast<std::uint32_t>(xxh3_64(call.name)) : 0};
    return static_cast<std::uint32_t>(xxh3_64({reinterpret_cast<char const*>(&key), sizeof key}));
}

FlightHeader header_of(int rank, int size) {
    FlightHeader h{};
    h.magic = kFlightMagic;
    h.version = kFlightVersion;
    h.rank = rank;
    h.size = size;
    h.process = getpid();
    h.started = h.heartbeat = h.phase_since = flight_now();
    h.step = -1;
    put(h.host, host_name());
    put(h.phase, "start");
    return h;
}

/// Says what the call is, but not its place among others.
void describe(FlightCall& c, CallRecord const& call) {
    c.sequence = call.sequence;
    c.start = flight_now();
    c.finish = 0;
    c.count = call.count;
    c.op = call.op;
    c.dtype = call.dtype;
    c.peer = -1;
    put(c.name, call.name);
}

/// Notes a call that all members of a group enter as the next in its order.
void note_collective(FlightGroup& g, FlightCall& c, auto& trace, CallRecord const& call) {
    c.ordinal = g.ordinals;
    trace.hashes[g.ordinals % kHashes] =
        chained(g.ordinals ? trace.hashes[(g.ordinals - 1) % kHashes] : 0, call);
    g.ordinals++;
}

/// Notes a message as the next in the order of those with its peer.
void note_message(FlightCall& c, auto& trace) {
    int const peer = trace.message->peer;
    c.kind = trace.message->kind;
    c.peer = trace.members.empty() ? -1 : trace.members[static_cast<std::size_t>(peer)];
    c.ordinal = (c.kind == Message::Kind::send ? trace.sent : trace.received)[peer]++;
    trace.message.reset();
}

/// Puts the `size` bytes at `memory` into the file and the file in their place: whoever holds the
/// address writes to the file from now on. Returns the call that failed, or null.
char const* move_into(int file, void* memory, std::size_t size) {
    if (pwrite(file, memory, size, 0) != static_cast<ssize_t>(size)) return "write";
    void* const mapped =
        mmap(memory, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
    return mapped == MAP_FAILED ? "mmap" : nullptr;
}

} // namespace

FlightRecorder::FlightRecorder(int rank, int size) {
    void* const memory =
        mmap(nullptr, sizeof(Block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw JobError(fmt::format("mmap of a flight record: {}", std::strerror(errno)));
    block_ = static_cast<Block*>(memory);
    block_->header = header_of(rank, size);
    traces_.reserve(kFlightGroups);
    std::vector<int> everyone(static_cast<std::size_t>(size));
    std::iota(everyone.begin(), everyone.end(), 0);
    on_group("world", everyone);
    recorder = this;
}

FlightRecorder::~FlightRecorder() {
    FlightRecorder* self = this;
    recorder.compare_exchange_strong(self, nullptr);
    while (handlers > 0) std::this_thread::yield(); // one on another thread may write to the block
    munmap(block_, sizeof(Block));
}

void FlightRecorder::keep_in(std::string const& run_folder, std::int64_t job) {
    std::string const path = flight_file(run_folder, block_->header.rank);
    auto const refuse = [&](char const* call, int code) {
        throw InputError(fmt::format("{}: {}: {}; legal: a run folder on a disk with room and "
                                     "write permission",
                                     path, call, reason_of(code)));
    };
    int const file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (file < 0) refuse("open", errno);
    std::scoped_lock const lock(mutex_);
    block_->header.job = job;
    char const* const failed = move_into(file, block_, sizeof(Block));
    int const code = errno;
    close(file);
    if (failed) refuse(failed, code);
    run_folder_ = run_folder;
}

std::optional<std::size_t> FlightRecorder::slot(std::string_view group) {
    std::string_view const cut = group.substr(0, sizeof FlightGroup::name - 1);
    for (std::size_t i = 0; i < block_->header.groups; ++i)
        if (cut == block_->groups[i].name.data()) return i;
    if (block_->header.groups == kFlightGroups) return std::nullopt;
    std::size_t const added = block_->header.groups;
    FlightGroup& g = block_->groups[added];
    put(g.name, group);
    g.leader = g.next = g.rank = -1;
    traces_.emplace_back().hashes.resize(kHashes);
    block_->header.groups++;
    return added;
}

void FlightRecorder::on_group(std::string_view group, std::span<int const> world_ranks) {
    std::scoped_lock const lock(mutex_);
    auto const at = slot(group);
    auto const self = std::ranges::find(world_ranks, block_->header.rank);
    if (!at || self == world_ranks.end()) return;
    FlightGroup& g = block_->groups[*at];
    g.generation++;
    g.ordinals = 0;
    traces_[*at].sent.clear();
    traces_[*at].received.clear();
    g.size = static_cast<std::int32_t>(world_ranks.size());
    g.leader = world_ranks.front();
    g.rank = static_cast<std::int32_t>(self - world_ranks.begin());
    g.next = world_ranks[static_cast<std::size_t>((g.rank + 1) % g.size)];
    traces_[*at].members.assign(world_ranks.begin(), world_ranks.end());
}

void FlightRecorder::on_messages(std::string_view group, std::span<Message const> messages) {
    if (listener_) listener_->on_messages(group, messages);
    std::scoped_lock const lock(mutex_);
    if (auto const at = slot(group); at && !messages.empty())
        traces_[*at].message = messages.front();
}

void FlightRecorder::on_start(std::string_view group, CallRecord const& call) {
    if (listener_) listener_->on_start(group, call);
    // The job is being ended; a watch that cannot must not turn this into a hang of its own.
    for (int i = 0; frozen_ && i < 1000; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(15));
    std::scoped_lock const lock(mutex_);
    auto const at = slot(group);
    if (!at) return;
    FlightGroup& g = block_->groups[*at];
    FlightCall& c = g.ring[g.calls++ % kFlightCalls];
    c.state = CallState::none; // a reader after kill -9 must not take half of a call for a call
    describe(c, call);
    if (call.op != Collective::exchange)
        note_collective(g, c, traces_[*at], call);
    else if (traces_[*at].message)
        note_message(c, traces_[*at]);
    // A split is one blocking call of the library.
    c.state = call.op == Collective::split ? CallState::waited_for : CallState::started;
}

FlightCall* FlightRecorder::find(std::string_view group, std::uint64_t sequence) {
    auto const at = slot(group);
    if (!at) return nullptr;
    FlightGroup& g = block_->groups[*at];
    std::uint64_t const kept = std::min<std::uint64_t>(g.calls, kFlightCalls);
    for (std::uint64_t back = 1; back <= kept; ++back) {
        FlightCall& c = g.ring[(g.calls - back) % kFlightCalls];
        if (c.sequence == sequence && c.state != CallState::finished) return &c;
    }
    return nullptr;
}

void FlightRecorder::on_wait(std::string_view group, std::uint64_t sequence) {
    if (listener_) listener_->on_wait(group, sequence);
    std::scoped_lock const lock(mutex_);
    if (FlightCall* const c = find(group, sequence)) c->state = CallState::waited_for;
}

void FlightRecorder::on_finish(std::string_view group, std::uint64_t sequence) {
    if (listener_) listener_->on_finish(group, sequence);
    std::scoped_lock const lock(mutex_);
    if (FlightCall* const c = find(group, sequence)) {
        c->finish = flight_now();
        c->state = CallState::finished;
    }
}

void FlightRecorder::on_deadline(std::string_view /*group*/, std::uint64_t /*sequence*/) {
    std::function<void()> action;
    {
        std::scoped_lock const lock(mutex_);
        action = deadline_action_;
    }
    if (action) action();
}

void FlightRecorder::enter_phase(std::string_view phase) {
    std::scoped_lock const lock(mutex_);
    put(block_->header.phase, phase);
    block_->header.phase_since = flight_now();
}

void FlightRecorder::enter_step(std::int64_t step) {
    std::scoped_lock const lock(mutex_);
    block_->header.step = step;
}

void FlightRecorder::end(FlightEnd how, int exit_code, std::string_view error) {
    std::scoped_lock const lock(mutex_);
    block_->header.end = how;
    block_->header.exit_code = exit_code;
    put(block_->header.error, error);
    block_->header.heartbeat = flight_now();
}

void FlightRecorder::asked_to_end() noexcept {
    std::atomic_ref<std::int64_t> const when(block_->header.asked_to_end);
    std::int64_t never = 0;
    when.compare_exchange_strong(never, flight_now());
}

FlightRecorder* flight_recorder() {
    return recorder;
}

void note_request_to_end() noexcept {
    ++handlers;
    if (FlightRecorder* const r = recorder) r->asked_to_end();
    --handlers;
}

void enter_phase(std::string_view phase) {
    if (FlightRecorder* const r = recorder) r->enter_phase(phase);
    fault_point(phase);
}

void enter_step(std::int64_t step) {
    set_fault_step(step);
    if (FlightRecorder* const r = recorder) r->enter_step(step);
}

void set_call_deadline(Communicator& world, std::chrono::milliseconds deadline) {
    world.set_deadline(deadline);
    if (FlightRecorder* const r = recorder) r->set_deadline(deadline);
}

void keep_flight_records(std::string const& run_folder, Communicator& world) {
    namespace fs = std::filesystem;
    FlightRecorder* const r = recorder;
    if (!r) return;
    std::int64_t job = flight_now();
    std::string const folder = run_folder + "/flight";
    std::error_code failed;
    if (world.rank() == 0) {
        fs::remove_all(folder, failed);
        fs::create_directories(folder, failed); // shows when the first file is opened
    }
    world.broadcast({&job, 1, DType::i64}, 0, "flight record/job").wait();
    r->keep_in(run_folder, job);
}

} // namespace trireme::cluster
