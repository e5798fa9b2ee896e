// The ranks of one `prepare`: each tokenizes every n-th batch of rows, and the first one gathers
// the samples in the order of the rows.
#pragma once
#include <cstdint>
#include <string>

#include "cluster/communicator.hpp"

namespace trireme::launch::text {

class Ranks {
  public:
    /// `world`: null for a process that works alone; else it must outlive this.
    explicit Ranks(cluster::Communicator* world) : world_(world) {}

    bool first() const { return !world_ || world_->rank() == 0; }
    int count() const { return world_ ? world_->size() : 1; }
    /// The rank that does batch number `batch`.
    int owner(std::int64_t batch) const { return static_cast<int>(batch % count()); }
    bool owns(std::int64_t batch) const { return owner(batch) == (world_ ? world_->rank() : 0); }

    /// Sends bytes to the first rank, which calls `receive`, in the same order. Throws JobError.
    void send(std::string bytes);
    std::string receive(int from);
    /// Returns when every rank has come here. Collective.
    void meet(char const* name) {
        if (world_) world_->barrier(name);
    }

  private:
    cluster::Communicator* world_;
};

} // namespace trireme::launch::text
