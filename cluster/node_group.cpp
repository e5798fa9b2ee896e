#include "cluster/node_group.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "cluster/process.hpp"
#include "cluster/reduce.hpp"
#include "cluster/waiting.hpp"

namespace trireme::cluster {

namespace {

constexpr std::size_t kPage = 4096; ///< counters of a window; slots follow

/// A counter that only its rank writes, on a cache line of its own.
struct alignas(64) Counter {
    std::atomic<std::uint64_t> value;
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

/// Tells the others that this rank is done with the piece, and the wait that something moved.
void pass(Counter& counter, std::uint64_t piece) {
    counter.value.store(piece + 1, std::memory_order_release);
    ++parts_moved;
}

/// How the others find a rank's window.
struct Address {
    std::int64_t process = 0, file = -1; ///< file: descriptor there; -1: none could be made
    std::uint64_t mark = 0; ///< a window holds it, so that no other file is taken for it
};

/// An empty range may have no address.
void copy_bytes(void const* from, void* to, std::size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
}

std::size_t bytes_of(NodeSizes const& sizes) {
    return kPage + sizes.slots * sizes.slot_bytes;
}

} // namespace

/// One rank's memory; the counters are numbers of pieces of the group that it is done with.
struct NodeGroup::Window {
    Counter posted, reduced, taken;
    std::atomic<std::uint64_t> mark;
};

/// What one member sums of a piece: its elements in this rank's memory, and where they lie in a
/// slot.
struct NodeGroup::Share {
    Buffer memory;
    std::ptrdiff_t at; ///< bytes
};

/// One call on its way.
struct NodeGroup::Flight {
    Call call;
    std::size_t members = 0;
    std::uint64_t first = 0, pieces = 0;              ///< numbers of its pieces in the group
    std::size_t elements = 0;                         ///< most that a piece has of `out`
    std::uint64_t posted = 0, reduced = 0, taken = 0; ///< pieces

    bool complete() const { return taken == pieces; }
    bool scatters() const { return call.op == Collective::reduce_scatter; }
    /// Elements of `whole`, which is as long as `out`, in piece i.
    Buffer piece_of(Buffer const& whole, std::uint64_t i) const {
        std::size_t const begin = i * elements;
        return whole.slice(begin, std::min(elements, whole.count - begin));
    }
    Share share(std::size_t member, std::uint64_t i) const {
        if (scatters()) {
            Buffer const part = piece_of(call.in.slice(member * call.out.count, call.out.count), i);
            return {part, static_cast<std::ptrdiff_t>(member * part.bytes())};
        }
        Buffer const piece = piece_of(call.in, i);
        std::size_t const begin = piece.count * member / members,
                          end = piece.count * (member + 1) / members;
        return {piece.slice(begin, end - begin),
                static_cast<std::ptrdiff_t>(begin * size_of(piece.dtype))};
    }
};

/// A call as Work polls it.
class NodeGroup::Handle : public Operation {
  public:
    Handle(NodeGroup& group, std::shared_ptr<Flight> flight)
        : group_(group), flight_(std::move(flight)) {}
    bool test() override {
        group_.progress_->drive();
        if (flight_->complete()) return true;
        int flag = 0; // the others may wait for a call of MPI, which moves only while it is called
        check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE),
                  "MPI_Iprobe");
        return false;
    }
    void give_up() override { group_.flights_.clear(); }

  private:
    NodeGroup& group_;
    std::shared_ptr<Flight> flight_;
};

void NodeProgress::drive() {
    for (auto* const group : busy_) group->drive();
    std::erase_if(busy_, [](NodeGroup const* group) { return group->flights_.empty(); });
}

NodeGroup::NodeGroup(int rank, std::shared_ptr<NodeProgress> progress, NodeSizes const& sizes)
    : rank_(static_cast<std::size_t>(rank)), progress_(std::move(progress)), sizes_(sizes) {}

NodeGroup::~NodeGroup() {
    std::erase(progress_->busy_, this);
    for (auto* const window : windows_)
        if (window) munmap(window, bytes_of(sizes_));
    if (file_ >= 0) close(file_);
}

bool NodeGroup::map_own() {
    file_ = memfd_create("trireme-node", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(bytes_of(sizes_))) != 0) return false;
    void* const at = mmap(nullptr, bytes_of(sizes_), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) return false;
    windows_[rank_] = static_cast<Window*>(at);
    return true;
}

bool NodeGroup::map_peers(MPI_Comm comm) {
    std::vector<Address> addresses(windows_.size());
    Address own;
    if (map_own()) {
        auto const now = std::chrono::steady_clock::now().time_since_epoch().count();
        own = {getpid(), file_,
               static_cast<std::uint64_t>(now) * 0x9e3779b97f4a7c15ULL + rank_ + 1};
        windows_[rank_]->mark = own.mark;
    }
    check_mpi(
        MPI_Allgather(&own, sizeof own, MPI_BYTE, addresses.data(), sizeof own, MPI_BYTE, comm),
        "MPI_Allgather");
    for (std::size_t member = 0; member < windows_.size(); ++member) {
        if (member == rank_) continue;
        auto const& there = addresses[member];
        if (own.file < 0 || there.file < 0) return false;
        int const file = open(fmt::format("/proc/{}/fd/{}", there.process, there.file).c_str(),
                              O_RDWR | O_CLOEXEC);
        if (file < 0) return false;
        void* const at =
            mmap(nullptr, bytes_of(sizes_), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (at == MAP_FAILED) return false;
        windows_[member] = static_cast<Window*>(at);
        if (windows_[member]->mark != there.mark) return false;
    }
    return true;
}

/// Tells whether the user wants it; a rank that does not speaks for its group.
static bool wanted() {
    char const* const set = std::getenv("TRIREME_NODE_MEMORY");
    std::string_view const value = set ? set : "on";
    if (value != "on" && value != "off")
        throw InputError(fmt::format("TRIREME_NODE_MEMORY: {}: legal: on, off", value));
    return value == "on";
}

std::unique_ptr<NodeGroup> NodeGroup::make(MPI_Comm comm, std::vector<int> const& nodes,
                                           std::shared_ptr<NodeProgress> progress,
                                           NodeSizes const& sizes) {
    bool const one_node = std::ranges::all_of(nodes, [&](int node) { return node == nodes[0]; });
    if (nodes.size() < 2 || !one_node) return nullptr;
    int rank = 0;
    check_mpi(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
    std::unique_ptr<NodeGroup> group(new NodeGroup(rank, std::move(progress), sizes));
    group->windows_.resize(nodes.size());
    int all_want = wanted() ? 1 : 0;
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, &all_want, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce");
    if (!all_want) return nullptr;
    int mapped = group->map_peers(comm) ? 1 : 0;
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, &mapped, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce");
    if (mapped) return group;
    static std::atomic<bool> said = false;
    if (rank == 0 && !said.exchange(true))
        say("trireme: note: the system does not let ranks of a node share memory (memfd_create and "
            "/proc/PID/fd): sums go through MPI\n");
    return nullptr;
}

std::byte* NodeGroup::slot(std::size_t member, std::uint64_t piece) const {
    return reinterpret_cast<std::byte*>(windows_[member]) + kPage +
           piece % sizes_.slots * sizes_.slot_bytes;
}

bool NodeGroup::takes(Call const& call) const {
    bool const sums = call.op == Collective::all_reduce || call.op == Collective::reduce_scatter;
    return sums && call.out.count > 0 && call.in.bytes() >= sizes_.least_bytes &&
           sizes_.slot_bytes >= windows_.size() * size_of(call.in.dtype);
}

std::unique_ptr<Operation> NodeGroup::start(Call const& call) {
    auto flight = std::make_shared<Flight>();
    flight->call = call;
    flight->members = windows_.size();
    std::size_t const of_slot = sizes_.slot_bytes / size_of(call.in.dtype);
    flight->elements = flight->scatters() ? of_slot / windows_.size() : of_slot;
    flight->pieces = (call.out.count + flight->elements - 1) / flight->elements;
    flight->first = std::exchange(pieces_, pieces_ + flight->pieces);
    if (flights_.empty()) progress_->busy_.push_back(this);
    flights_.push_back(flight);
    auto handle = std::make_unique<Handle>(*this, std::move(flight));
    progress_->drive();
    return handle;
}

/// Each phase keeps the order of the calls: a later one begins it when the one before is through.
void NodeGroup::drive() {
    for (auto const phase : {&NodeGroup::post, &NodeGroup::reduce, &NodeGroup::take})
        for (auto const& flight : flights_)
            if (!(this->*phase)(*flight)) break;
    while (!flights_.empty() && flights_.front()->complete()) flights_.pop_front();
}

/// Tells whether the counter of every other member is past the piece.
template <typename Windows>
static bool others_past(Windows const& windows, std::size_t own, auto counter,
                        std::uint64_t piece) {
    for (std::size_t member = 0; member < windows.size(); ++member)
        if (member != own &&
            (windows[member]->*counter).value.load(std::memory_order_acquire) <= piece)
            return false;
    return true;
}

bool NodeGroup::post(Flight& flight) {
    for (; flight.posted < flight.pieces; ++flight.posted) {
        std::uint64_t const piece = flight.first + flight.posted;
        if (piece >= sizes_.slots &&
            !others_past(windows_, rank_, &Window::taken, piece - sizes_.slots))
            return false;
        for (std::size_t member = 0; member < windows_.size(); ++member) {
            if (member == rank_) continue;
            auto const [memory, at] = flight.share(member, flight.posted);
            copy_bytes(memory.data, slot(rank_, piece) + at, memory.bytes());
        }
        pass(windows_[rank_]->posted, piece);
    }
    return true;
}

bool NodeGroup::reduce(Flight& flight) {
    for (; flight.reduced < flight.posted; ++flight.reduced) {
        std::uint64_t const piece = flight.first + flight.reduced;
        if (!others_past(windows_, rank_, &Window::posted, piece)) return false;
        auto const [memory, at] = flight.share(rank_, flight.reduced);
        std::vector<void const*> inputs(windows_.size());
        for (std::size_t member = 0; member < inputs.size(); ++member)
            inputs[member] = member == rank_ ? memory.data : slot(member, piece) + at;
        Buffer const sum =
            flight.scatters() ? flight.piece_of(flight.call.out, flight.reduced) : memory;
        reduce_pieces(inputs, sum, flight.call.reduce);
        if (!flight.scatters()) copy_bytes(sum.data, slot(rank_, piece) + at, sum.bytes());
        pass(windows_[rank_]->reduced, piece);
    }
    return flight.reduced == flight.pieces;
}

bool NodeGroup::take(Flight& flight) {
    for (; flight.taken < flight.reduced; ++flight.taken) {
        std::uint64_t const piece = flight.first + flight.taken;
        if (!flight.scatters()) {
            if (!others_past(windows_, rank_, &Window::reduced, piece)) return false;
            for (std::size_t member = 0; member < windows_.size(); ++member) {
                if (member == rank_) continue;
                auto const [memory, at] = flight.share(member, flight.taken);
                copy_bytes(slot(member, piece) + at, memory.data, memory.bytes());
            }
        }
        pass(windows_[rank_]->taken, piece);
    }
    return flight.complete();
}

} // namespace trireme::cluster
