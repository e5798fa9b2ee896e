// One suite for every back end: each collective against values in closed form. Called by all
// members of a group.
#pragma once
#include <cstddef>
#include <deque>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::test {

/// Says where the buffers of a back end live, and how a test waits for a call.
class Place {
  public:
    virtual ~Place() = default;
    /// Memory of its own that holds `bytes`, until the place goes.
    virtual cluster::Buffer upload(std::vector<std::byte> const& bytes, cluster::DType dtype) = 0;
    virtual std::vector<std::byte> download(cluster::Buffer const& buffer) = 0;
    virtual void wait(cluster::Work work) = 0;
};

class HostPlace : public Place {
  public:
    cluster::Buffer upload(std::vector<std::byte> const& bytes, cluster::DType dtype) override;
    std::vector<std::byte> download(cluster::Buffer const& buffer) override;
    void wait(cluster::Work work) override { work.wait(); }

  private:
    std::deque<std::vector<std::byte>> memory_;
};

/// Fails GoogleTest expectations of the calling thread, and goes on: no member leaves the others
/// waiting.
void expect_conformance_at(cluster::Communicator& group, Place& place);
/// On the host.
void expect_conformance(cluster::Communicator& group);

} // namespace trireme::test
