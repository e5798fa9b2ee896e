// Activations and their gradients between neighbouring parts of the model.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::parallel {

/// Parts are numbered over the ring of stages: part p is on stage p mod stages. Activations and gradients travel in
/// groups of their own, because on two stages with several parts each both can go the same way at the same time.
class StageLink {
  public:
    /// Collective over `stages`, which must outlive the link.
    explicit StageLink(cluster::Communicator& stages);

    /// To the part after this one. Returns at once; the tensor is kept until it has left.
    void send_activation(at::Tensor const& x);
    at::Tensor receive_activation(std::vector<std::int64_t> const& shape, at::TensorOptions const& options);
    /// To the part before.
    void send_gradient(at::Tensor const& dx);
    at::Tensor receive_gradient(std::vector<std::int64_t> const& shape, at::TensorOptions const& options);
    /// Waits until everything sent has left.
    void flush();

  private:
    struct Outgoing {
        at::Tensor tensor;
        cluster::Work work;
    };
    void send(cluster::Communicator& group, int peer, at::Tensor const& tensor, char const* name);
    at::Tensor receive(cluster::Communicator& group, int peer, std::vector<std::int64_t> const& shape,
                       at::TensorOptions const& options, char const* name);

    std::unique_ptr<cluster::Communicator> activations_, gradients_;
    int next_, previous_;
    std::list<Outgoing> outgoing_;
};

} // namespace trireme::parallel
