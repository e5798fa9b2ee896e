// Buffers of the conformance suite on a GPU, or on the stand-in for one.
#pragma once
#include <deque>

#include "cluster/device.hpp"
#include "tests/cluster/conformance.hpp"

namespace trireme::test {

/// Everything of one place is on one stream. Each upload is queued, so that a call has something to
/// be ordered after.
class DevicePlace : public Place {
  public:
    enum class Waiting { on_host, on_device };
    explicit DevicePlace(Waiting waiting) : waiting_(waiting) {}
    ~DevicePlace() override;

    cluster::Buffer upload(std::vector<std::byte> const& bytes, cluster::DType dtype) override;
    std::vector<std::byte> download(cluster::Buffer const& buffer) override;
    void wait(cluster::Work work) override;
    void* stream() const { return stream_.handle(); }

  private:
    virtual void on_host_access(void const* /*pinned*/, std::size_t /*bytes*/, bool /*write*/) {}
    void finish(); ///< waits on the host for the stream

    Waiting waiting_;
    cluster::Stream stream_;
    std::deque<cluster::DeviceMemory> device_;
    std::deque<cluster::PinnedMemory> pinned_;
    bool unfinished_ = false;
};

} // namespace trireme::test
