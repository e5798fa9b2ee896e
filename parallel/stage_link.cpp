#include "parallel/stage_link.hpp"

#include "parallel/group_names.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

StageLink::StageLink(cluster::Communicator& stages)
    : activations_(stages.split(0, stages.rank(), kActivations)),
      gradients_(stages.split(0, stages.rank(), kActivationGradients)), next_((stages.rank() + 1) % stages.size()),
      previous_((stages.rank() + stages.size() - 1) % stages.size()) {}

void StageLink::send(cluster::Communicator& group, int peer, at::Tensor const& tensor, char const* name) {
    outgoing_.remove_if([](Outgoing& o) { return o.work.done(); });
    at::Tensor const kept = tensor.detach().contiguous();
    cluster::Message const message{cluster::Message::Kind::send, peer, buffer_of(kept)};
    outgoing_.push_back({kept, group.exchange({&message, 1}, name)});
}

at::Tensor StageLink::receive(cluster::Communicator& group, int peer, std::vector<std::int64_t> const& shape,
                              at::TensorOptions const& options, char const* name) {
    at::Tensor const tensor = at::empty(shape, options);
    cluster::Message const message{cluster::Message::Kind::receive, peer, buffer_of(tensor)};
    finish(group.exchange({&message, 1}, name), tensor);
    return tensor;
}

void StageLink::send_activation(at::Tensor const& x) {
    send(*activations_, next_, x, "activation");
}
at::Tensor StageLink::receive_activation(std::vector<std::int64_t> const& shape, at::TensorOptions const& options) {
    return receive(*activations_, previous_, shape, options, "activation");
}
void StageLink::send_gradient(at::Tensor const& dx) {
    send(*gradients_, previous_, dx, "activation gradient");
}
at::Tensor StageLink::receive_gradient(std::vector<std::int64_t> const& shape, at::TensorOptions const& options) {
    return receive(*gradients_, next_, shape, options, "activation gradient");
}

void StageLink::flush() {
    for (auto& o : outgoing_) finish(o.work, o.tensor);
    outgoing_.clear();
}

} // namespace trireme::parallel
