// Holds what a Work remembers of its call. Included by work.cpp and by what makes a Work only.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

struct Work::State {
    std::unique_ptr<Operation> operation;
    std::string group, name;
    Collective op;
    std::uint64_t sequence;
    int rank, size;
    std::chrono::steady_clock::time_point start;
    std::chrono::milliseconds deadline;
    std::shared_ptr<CallObserver> observer;
    bool handed_over = false; ///< to a stream: the back end watches it, and the host need not wait

    /// Tells the observer, once.
    void finish();
    /// "rank 1@n3 of 4: all_reduce #12 'gradient/layers.3' in group data"
    std::string what() const;
};

} // namespace trireme::cluster
