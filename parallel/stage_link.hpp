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
/// go the same way at the same time. A receive is started before what comes before it is computed,
/// so that the message travels meanwhile, unless its sender needs that first (turns_of).
///
/// [Note: groups of a direction]
/// NCCL runs the calls of a group in order, and its send ends when it is received. A receive that
/// is started early would hold up the sends behind it, and with several parts on each stage, which
/// go round the ring, stages that each send before they receive would wait for each other. So no
/// stage sends and receives in one group of a direction: boundaries take turns between two groups,
/// and the last boundary of an odd ring has a third. Two stages with one part each have one
/// boundary.
class StageLink {
  public:
    /// `chunks`: parts of each stage. Collective over `stages`, which must outlive the link.
    StageLink(cluster::Communicator& stages, int chunks);

    /// Sends to the part after this one. Returns at once; the tensor is kept until it has left.
    void send_activation(at::Tensor const& x);
    /// Starts to receive from the part before; receive_activation() gives what was expected first.
    void expect_activation(std::vector<std::int64_t> const& shape,
                           at::TensorOptions const& options);
    at::Tensor receive_activation();
    /// Sends to the part before.
    void send_gradient(at::Tensor const& dx);
    /// Starts to receive from the part after; receive_gradient() gives what was expected first.
    void expect_gradient(std::vector<std::int64_t> const& shape, at::TensorOptions const& options);
    at::Tensor receive_gradient();
    /// Waits until everything sent has left.
    void flush();

  private:
    struct OnItsWay {
        at::Tensor tensor;
        cluster::Work work;
    };
    using Messages = std::list<OnItsWay>;
    void send(cluster::Communicator& group, int peer, at::Tensor const& tensor, char const* name);
    static OnItsWay expect(cluster::Communicator& group, int peer, at::Tensor const& tensor,
                           char const* name);
    static at::Tensor receive(Messages& expected);

    using Groups = std::vector<std::unique_ptr<cluster::Communicator>>;
    Groups groups_of(cluster::Communicator& stages, int chunks, std::string_view direction) const;
    /// The group of the boundary after a stage.
    cluster::Communicator& after(Groups const& groups, int stage) const;

    int stage_, next_, previous_;
    Groups activations_, gradients_;
    Messages outgoing_, expected_activations_, expected_gradients_;
};

} // namespace trireme::parallel
