// Extends CallObserver by what a watch needs: with whom a call is made, and that the host has
// nothing to do but wait.
#pragma once
#include <span>
#include <string_view>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Functions are called by the thread that makes the calls, and must not communicate.
class WaitObserver : public CallObserver {
  public:
    /// The messages of the exchange whose on_start follows.
    virtual void on_messages(std::string_view group, std::span<Message const> messages) = 0;
    /// The host begins to wait for a call; it may find it complete at once.
    virtual void on_wait(std::string_view group, std::uint64_t sequence) = 0;
    /// The call is past its deadline. May end the process; returns if it cannot say more than the
    /// caller.
    virtual void on_deadline(std::string_view group, std::uint64_t sequence) = 0;
    /// This process belongs to a new group whose members have these ranks in the world, by their
    /// rank in the group.
    virtual void on_group(std::string_view group, std::span<int const> world_ranks) = 0;
};

} // namespace trireme::cluster
