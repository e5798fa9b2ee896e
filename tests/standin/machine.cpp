#include "tests/standin/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

#include "tests/standin/state.hpp"

namespace trireme::standin {

namespace {

std::unique_ptr<State> the_state;
int generation = 0;

struct Host {
    int generation = 0, timeline = -1, device = -1;
    bool counted = false, complained = false, rank = false;
    std::optional<std::uint64_t> blind_from; ///< number of a record
    std::string place;
    HostCalls calls;
};
thread_local Host host;

Host& own() {
    if (host.generation != generation) host = {.generation = generation};
    return host;
}

} // namespace

State& state() {
    if (the_state) return *the_state;
    fmt::print(stderr, "stand-in: no machine lives\n");
    std::abort();
}

int host_timeline() {
    Host& h = own();
    if (h.timeline < 0)
        h.timeline = state().order.add_timeline(fmt::format("host of device {}", current_device()));
    return h.timeline;
}
int current_device() {
    return std::max(own().device, 0);
}
void set_current_device(int device) {
    own().device = device;
}

bool is_blind_to(CUevent_st const& event) {
    return own().blind_from && event.number >= *own().blind_from;
}
bool is_rank() {
    return own().rank;
}

BlindHost::BlindHost() {
    std::lock_guard const lock(state().mutex);
    own().blind_from = state().records;
}
BlindHost::~BlindHost() {
    own().blind_from.reset();
}

void compute_on(void* stream) {
    auto* const own_stream = static_cast<cudaStream_t>(stream);
    own_stream->by_host = own().rank = true;
    own_stream->permit(CUstream_st::kAll);
}

void computed(void* stream, std::string const& name, std::vector<Range> const& reads,
              std::vector<Range> const& writes) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    auto* const there = static_cast<cudaStream_t>(stream);
    s.begin_work(*there);
    for (auto const& [ranges, write] : {std::pair{&reads, false}, std::pair{&writes, true}})
        for (auto const& range : *ranges)
            if (s.order.holds(range.begin)) s.order.access(there->timeline, range, write, name);
}

HostCalls& calls_of_host() {
    return own().calls;
}
HostCalls host_calls() {
    return own().calls;
}

void poison(void* memory, std::size_t bytes) {
    std::memset(memory, 0xFF, bytes); // a NaN of every floating type
}

bool State::ordering(std::string const& what, std::string const& place) {
    if (!own().counted) return true;
    orderings.push_back(place.empty() ? what : place + ": " + what);
    return !options.drop.contains(orderings.size() - 1) && options.drop_all != orderings.back();
}

void State::look(CUevent_st& event) {
    if (own().counted && !std::exchange(event.looked_at, true))
        event.ignored = !ordering("host looks at event", event.place);
}

void State::begin_work(CUstream_st& stream) {
    int const host_line = host_timeline();
    order.join(stream.timeline, order.clock(host_line));
    order.tick(stream.timeline);
    order.tick(host_line);
}

void State::require_device() {
    if (own().device < 0 && !std::exchange(own().complained, true))
        order.violate("a thread uses CUDA and has not chosen its device");
}

bool State::is_alive(CUstream_st const* stream) {
    require_device();
    for (auto const& s : streams)
        if (s.get() == stream && !s->destroyed) return true;
    order.violate("a call names a stream that does not live, or the default stream");
    return false;
}

bool State::is_pinned(void const* address) const {
    auto const after = memory.upper_bound(const_cast<void*>(address));
    if (after == memory.begin()) return false;
    auto const& [begin, allocation] = *std::prev(after);
    return allocation.pinned && static_cast<std::byte const*>(address) <
                                    static_cast<std::byte const*>(begin) + allocation.size;
}

cudaError_t queue_work(cudaStream_t stream, std::string const& name,
                       std::vector<Range> const& reads, std::vector<Range> const& writes,
                       std::function<void()> body) {
    State& s = state();
    std::unique_lock lock(s.mutex);
    if (!s.is_alive(stream)) return cudaErrorInvalidResourceHandle;
    s.begin_work(*stream);
    for (auto const& r : reads) s.order.access(stream->timeline, r, false, name);
    for (auto const& w : writes) s.order.access(stream->timeline, w, true, name);
    auto overlaps = [reads](Range const& w) {
        for (auto const& r : reads)
            if (static_cast<std::byte const*>(r.begin) <
                    static_cast<std::byte const*>(w.begin) + w.bytes &&
                static_cast<std::byte const*>(w.begin) <
                    static_cast<std::byte const*>(r.begin) + r.bytes)
                return true;
        return false;
    };
    stream->push([stream, writes, overlaps, body = std::move(body)] {
        for (auto const& w : writes)
            if (!overlaps(w)) poison(const_cast<void*>(w.begin), w.bytes);
        stream->pause();
        body();
    });
    lock.unlock();
    if (stream->by_host) stream->drain();
    return cudaSuccess;
}

Machine::Machine(Options const& options) {
    ++generation;
    the_state = std::make_unique<State>(options);
}

Machine::~Machine() {
    for (auto const& stream : state().streams) stream->close();
    the_state.reset();
}

void Machine::drain() {
    for (auto const& stream : state().streams) stream->drain();
}

std::vector<std::string> Machine::violations() const {
    std::lock_guard const lock(state().mutex);
    return state().order.violations();
}
std::vector<std::string> Machine::orderings() const {
    std::lock_guard const lock(state().mutex);
    return state().orderings;
}
std::size_t Machine::synchronisations() const {
    return state().synchronisations;
}
std::size_t Machine::aborts() const {
    return state().aborts;
}

void count_orderings() {
    own().counted = true;
}

void at_place(std::string name) {
    own().place = std::move(name);
}
std::string const& place() {
    return own().place;
}

void launch(void* stream, std::string const& name, std::vector<Range> const& reads,
            std::vector<Range> const& writes, std::function<void()> body) {
    if (queue_work(static_cast<cudaStream_t>(stream), name, reads, writes, std::move(body)) !=
        cudaSuccess)
        std::abort();
}

void host_access(Range range, bool write) {
    State& s = state();
    std::lock_guard const lock(s.mutex);
    s.order.access(host_timeline(), range, write, write ? "write by the host" : "read by the host");
}

} // namespace trireme::standin

std::size_t CUstream_st::push(std::function<void()> task) {
    std::lock_guard const lock(mutex);
    queue.push_back(std::move(task));
    changed.notify_all();
    return ++pushed;
}

void CUstream_st::permit(std::size_t task) {
    std::lock_guard const lock(mutex);
    permitted = std::max(permitted, task);
    changed.notify_all();
}

void CUstream_st::demand(std::size_t task) {
    std::lock_guard const lock(mutex);
    demanded = std::max(demanded, task);
    changed.notify_all();
}

bool CUstream_st::is_permitted(std::size_t task) {
    std::lock_guard const lock(mutex);
    return permitted >= task;
}

std::size_t CUstream_st::next_task() {
    std::lock_guard const lock(mutex);
    return pushed + 1;
}

void CUstream_st::drain() {
    std::unique_lock lock(mutex);
    permitted = std::max(permitted, pushed);
    changed.notify_all();
    changed.wait(lock, [this] { return queue.empty() && !busy; });
}

void CUstream_st::close() {
    {
        std::lock_guard const lock(mutex);
        closing = true;
        permitted = kAll;
        changed.notify_all();
    }
    if (thread.joinable()) thread.join();
}

void CUstream_st::pause() {
    if (longest_pause > 0)
        std::this_thread::sleep_for(
            std::chrono::microseconds(random() % static_cast<std::uint64_t>(longest_pause + 1)));
}

void CUstream_st::run() {
    std::unique_lock lock(mutex);
    for (;;) {
        changed.wait(lock, [this] {
            return closing || (!queue.empty() && started < std::max(permitted, demanded));
        });
        if (queue.empty()) return;
        ++started;
        auto const task = std::move(queue.front());
        queue.pop_front();
        busy = true;
        lock.unlock();
        task();
        lock.lock();
        busy = false;
        changed.notify_all();
    }
}
