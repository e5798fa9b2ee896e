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
#include <thread>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/host.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::cluster {

namespace {

constexpr std::size_t kHashes = 1024; ///< kept of each group
std::atomic<FlightRecorder*> recorder = nullptr;

std::int64_t nanoseconds(auto time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

/// The system clock as it was set when this process began: one that is set anew must not make a
/// call look old.
std::int64_t now() {
    static std::int64_t const offset = nanoseconds(std::chrono::system_clock::now()) -
                                       nanoseconds(std::chrono::steady_clock::now());
    return nanoseconds(std::chrono::steady_clock::now()) + offset;
}

template <std::size_t N>
void put(std::array<char, N>& to, std::string_view text) {
    std::size_t const n = std::min(text.size(), N - 1);
    std::memcpy(to.data(), text.data(), n);
    std::memset(to.data() + n, 0, N - n);
}

/// What must be the same on every member; chained, so that a difference stays one for good.
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

} // namespace

struct FlightRecorder::Block {
    FlightHeader header;
    std::array<FlightGroup, kFlightGroups> groups;
};

FlightRecorder::FlightRecorder(int rank, int size) {
    void* const memory =
        mmap(nullptr, sizeof(Block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw JobError(fmt::format("mmap of a flight record: {}", std::strerror(errno)));
    block_ = static_cast<Block*>(memory);
    traces_.reserve(kFlightGroups);
    FlightHeader& h = block_->header;
    h.magic = kFlightMagic;
    h.version = kFlightVersion;
    h.rank = rank;
    h.size = size;
    h.process = getpid();
    h.started = h.heartbeat = h.phase_since = now();
    h.step = -1;
    put(h.host, host_name());
    put(h.phase, "start");
    std::vector<int> everyone(static_cast<std::size_t>(size));
    for (int r = 0; r < size; ++r) everyone[static_cast<std::size_t>(r)] = r;
    on_group("world", everyone);
    recorder = this;
}

FlightRecorder::~FlightRecorder() {
    FlightRecorder* self = this;
    recorder.compare_exchange_strong(self, nullptr);
    munmap(block_, sizeof(Block));
}

void FlightRecorder::keep_in(std::string const& run_folder, std::int64_t job) {
    std::string const path = flight_file(run_folder, block_->header.rank);
    auto const check = [&](bool good, char const* call) {
        if (!good)
            throw InputError(
                fmt::format("{}: {}: {}; legal: a run folder on a disk with room and write "
                            "permission",
                            path, call, std::strerror(errno)));
    };
    int const file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    check(file >= 0, "open");
    std::scoped_lock const lock(mutex_);
    block_->header.job = job;
    bool const written =
        pwrite(file, block_, sizeof(Block), 0) == static_cast<ssize_t>(sizeof(Block));
    int const code = errno;
    // In place of the memory: whoever holds its address now writes to the file.
    void* const mapped = written ? mmap(block_, sizeof(Block), PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_FIXED, file, 0)
                                 : MAP_FAILED;
    if (!written) errno = code;
    close(file);
    check(mapped != MAP_FAILED, written ? "mmap" : "write");
    run_folder_ = run_folder;
}

int FlightRecorder::rank() const {
    return block_->header.rank;
}

std::string FlightRecorder::run_folder() const {
    std::scoped_lock const lock(mutex_);
    return run_folder_;
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
    std::scoped_lock const lock(mutex_);
    if (auto const at = slot(group); at && !messages.empty())
        traces_[*at].message = messages.front();
}

void FlightRecorder::on_start(std::string_view group, CallRecord const& call) {
    // The job is being ended; a watch that cannot must not turn this into a hang of its own.
    for (int i = 0; frozen_ && i < 1000; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(15));
    std::scoped_lock const lock(mutex_);
    auto const at = slot(group);
    if (!at) return;
    FlightGroup& g = block_->groups[*at];
    Trace& trace = traces_[*at];
    FlightCall& c = g.ring[g.calls++ % kFlightCalls];
    c.state = CallState::none; // a reader after kill -9 must not take half of a call for a call
    c.sequence = call.sequence;
    c.start = now();
    c.finish = 0;
    c.count = call.count;
    c.op = call.op;
    c.dtype = call.dtype;
    c.peer = -1;
    put(c.name, call.name);
    if (call.op != Collective::exchange) {
        c.ordinal = g.ordinals;
        trace.hashes[g.ordinals % kHashes] =
            chained(g.ordinals ? trace.hashes[(g.ordinals - 1) % kHashes] : 0, call);
        g.ordinals++;
    } else if (trace.message) {
        int const peer = trace.message->peer;
        c.kind = trace.message->kind;
        c.peer = trace.members.empty() ? -1 : trace.members[static_cast<std::size_t>(peer)];
        c.ordinal = (c.kind == Message::Kind::send ? trace.sent : trace.received)[peer]++;
        trace.message.reset();
    }
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
    std::scoped_lock const lock(mutex_);
    if (FlightCall* const c = find(group, sequence)) c->state = CallState::waited_for;
}

void FlightRecorder::on_finish(std::string_view group, std::uint64_t sequence) {
    std::scoped_lock const lock(mutex_);
    if (FlightCall* const c = find(group, sequence)) {
        c->finish = now();
        c->state = CallState::finished;
    }
}

void FlightRecorder::set_deadline_action(std::function<void()> action) {
    std::scoped_lock const lock(mutex_);
    deadline_action_ = std::move(action);
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
    block_->header.phase_since = now();
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
    block_->header.heartbeat = now();
}

void FlightRecorder::asked_to_end() noexcept {
    std::atomic_ref<std::int64_t> const when(block_->header.asked_to_end);
    std::int64_t never = 0;
    when.compare_exchange_strong(never, now());
}

Flight FlightRecorder::snapshot() const {
    std::scoped_lock const lock(mutex_);
    Flight copy{block_->header, {}};
    copy.groups.assign(block_->groups.begin(), block_->groups.begin() + block_->header.groups);
    return copy;
}

void FlightRecorder::beat() {
    std::scoped_lock const lock(mutex_);
    block_->header.heartbeat = now();
}

double FlightRecorder::oldest_call() const {
    std::scoped_lock const lock(mutex_);
    std::int64_t const at = now();
    std::int64_t oldest = 0;
    for (std::size_t i = 0; i < block_->header.groups; ++i) {
        FlightGroup const& g = block_->groups[i];
        for (std::size_t c = 0; c < std::min<std::uint64_t>(g.calls, kFlightCalls); ++c)
            if (g.ring[c].state == CallState::started || g.ring[c].state == CallState::waited_for)
                oldest = std::max(oldest, at - g.ring[c].start);
    }
    return static_cast<double>(oldest) * 1e-9;
}

CallHashes FlightRecorder::hashes(std::size_t group, std::uint64_t first) const {
    std::scoped_lock const lock(mutex_);
    std::uint64_t const end = block_->groups[group].ordinals,
                        kept = std::min<std::uint64_t>(end, kHashes);
    CallHashes found{std::max(first, end - kept), {}};
    for (std::uint64_t o = found.first; o < end; ++o)
        found.hashes.push_back(traces_[group].hashes[o % kHashes]);
    return found;
}

std::size_t FlightRecorder::group_count() const {
    std::scoped_lock const lock(mutex_);
    return block_->header.groups;
}

std::optional<std::size_t> FlightRecorder::find_group(std::string_view name) const {
    std::scoped_lock const lock(mutex_);
    for (std::size_t i = 0; i < block_->header.groups; ++i)
        if (name == block_->groups[i].name.data() && block_->groups[i].leader >= 0) return i;
    return std::nullopt;
}

FlightGroup FlightRecorder::group_facts(std::size_t group) const {
    std::scoped_lock const lock(mutex_);
    FlightGroup facts{};
    FlightGroup const& g = block_->groups[group];
    std::memcpy(&facts, &g, offsetof(FlightGroup, ring));
    return facts;
}

FlightRecorder* flight_recorder() {
    return recorder;
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
    std::int64_t job = now();
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
