// Sums over the ranks of one node through memory that they share: large ones take a quarter to
// half of the time of Open MPI 4.1 (docs/collectives.md), which is what data-parallel ranks wait
// for. Copies without a sum stay with MPI, whose kernel-assisted single copy is as quick.
//
// [Note: how a piece travels]
// Each rank owns a window of slots that the others of its group can read. A call is cut into pieces
// of at most one slot, numbered on from call to call. For each piece, a rank
//   posts   copies the parts that others sum from its input into its own slot;
//   reduces sums its own part, in rank order, over its input and the slots of the others, once all
//           have posted, and leaves the sum in its slot if the others need it (all-reduce);
//   takes   copies the sums of the others from their slots, once they have reduced.
// A slot is used again when all others have taken its piece. Three counters a rank, which only it
// writes, say how far it is; nobody locks. Whoever polls any call of the process drives all of
// them, as MPI does, so that ranks that wait for different calls cannot block each other.
#pragma once
#include <mpi.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "cluster/mpi_communicator.hpp"

namespace trireme::cluster {

class NodeGroup;

/// All groups of a process that have calls in flight. One thread.
class NodeProgress {
  public:
    /// Drives every call as far as it can go without waiting.
    void drive();

  private:
    friend class NodeGroup;
    std::vector<NodeGroup*> busy_;
};

class NodeGroup {
  public:
    /// Maps the windows of all members. Null where the group has one member, ranks of several
    /// nodes, or a system that does not let them share memory, which the lowest rank says once.
    /// `nodes`: the node of each member. Collective over `comm`, and blocking.
    static std::unique_ptr<NodeGroup> make(MPI_Comm comm, std::vector<int> const& nodes,
                                           std::shared_ptr<NodeProgress> progress,
                                           NodeSizes const& sizes);
    ~NodeGroup();
    NodeGroup(NodeGroup const&) = delete;
    NodeGroup& operator=(NodeGroup const&) = delete;

    /// Tells whether `start` can do the call; the same on all members.
    bool takes(Call const& call) const;
    /// Starts a call that `takes`. Sums are taken in rank order; bf16 is rounded once.
    std::unique_ptr<Operation> start(Call const& call);

  private:
    friend class NodeProgress;
    struct Flight;
    struct Share;
    struct Window;
    class Handle;
    NodeGroup(int rank, std::shared_ptr<NodeProgress> progress, NodeSizes const& sizes);
    bool map_own();
    bool map_peers(MPI_Comm comm);
    void drive();
    bool post(Flight& flight);
    bool reduce(Flight& flight);
    bool take(Flight& flight);
    std::byte* slot(std::size_t member, std::uint64_t piece) const;

    std::size_t rank_;
    std::shared_ptr<NodeProgress> progress_;
    NodeSizes sizes_;
    int file_ = -1;
    std::vector<Window*> windows_; ///< by member
    std::deque<std::shared_ptr<Flight>> flights_;
    std::uint64_t pieces_ = 0; ///< of all calls so far
};

} // namespace trireme::cluster
