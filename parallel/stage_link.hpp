// Activations and their gradients between neighbouring parts of the model.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::parallel {

/// Parts are numbered over the ring of stages: part p is on stage p mod stages. Activations and
/// gradients travel in groups of their own, because on two stages with several parts each both can
/// go the same way at the same time.
///
/// [Note: groups of a direction]
/// NCCL runs the calls of a group in order, and its send ends when it is received. With one part on
/// each stage a direction may share a group. With several the activations go round the ring, and
/// stages that each send before they receive would wait for each other. So no stage then sends and
/// receives in one group: boundaries take turns between two groups, and the last boundary of an odd
/// ring has a third.
class StageLink {
  public:
    /// `chunks`: parts of each stage. Collective over `stages`, which must outlive the link.
    StageLink(cluster::Communicator& stages, int chunks);

    /// Sends to the part after this one. Returns at once; the tensor is kept until it has left.
    void send_activation(at::Tensor const& x);
    at::Tensor receive_activation(std::vector<std::int64_t> const& shape,
                                  at::TensorOptions const& options);
    /// Sends to the part before.
    void send_gradient(at::Tensor const& dx);
    at::Tensor receive_gradient(std::vector<std::int64_t> const& shape,
                                at::TensorOptions const& options);
    /// Waits until everything sent has left.
    void flush();

  private:
    struct Outgoing {
        at::Tensor tensor;
        cluster::Work work;
    };
    void send(cluster::Communicator& group, int peer, at::Tensor const& tensor, char const* name);
    at::Tensor receive(cluster::Communicator& group, int peer,
                       std::vector<std::int64_t> const& shape, at::TensorOptions const& options,
                       char const* name);

    using Groups = std::vector<std::unique_ptr<cluster::Communicator>>;
    Groups groups_of(cluster::Communicator& stages, int chunks, std::string_view direction) const;
    /// The group of the boundary after a stage.
    cluster::Communicator& after(Groups const& groups, int stage) const;

    int stage_, next_, previous_;
    Groups activations_, gradients_;
    std::list<Outgoing> outgoing_;
};

} // namespace trireme::parallel
