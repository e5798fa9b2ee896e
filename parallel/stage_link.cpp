#include "parallel/stage_link.hpp"

#include <utility>

#include "parallel/group_names.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

StageLink::StageLink(cluster::Communicator& stages, int chunks)
    : stage_(stages.rank()), next_((stages.rank() + 1) % stages.size()),
      previous_((stages.rank() + stages.size() - 1) % stages.size()),
      activations_(groups_of(stages, chunks, kActivations)),
      gradients_(groups_of(stages, chunks, kActivationGradients)) {}

StageLink::Groups StageLink::groups_of(cluster::Communicator& stages, int chunks,
                                       std::string_view direction) const {
    Groups groups;
    bool const one_boundary = chunks == 1 && stages.size() <= 2,
               odd_ring = chunks > 1 && stages.size() % 2 == 1;
    int const count = one_boundary ? 1 : odd_ring ? 3 : 2;
    for (int g = 0; g < count; ++g)
        groups.push_back(stages.split(
            0, stage_, count == 1 ? std::string(direction) : at_boundary(direction, g)));
    return groups;
}

cluster::Communicator& StageLink::after(Groups const& groups, int stage) const {
    if (groups.size() == 1) return *groups.front();
    bool const ends_odd_ring = groups.size() == 3 && stage == groups.front()->size() - 1;
    return *groups[ends_odd_ring ? 2 : static_cast<std::size_t>(stage % 2)];
}

void StageLink::send(cluster::Communicator& group, int peer, at::Tensor const& tensor,
                     char const* name) {
    outgoing_.remove_if([](OnItsWay& o) { return o.work.done(); });
    at::Tensor const kept = tensor.detach().contiguous();
    cluster::Message const message{cluster::Message::Kind::send, peer, buffer_of(kept)};
    outgoing_.push_back({kept, group.exchange({&message, 1}, name)});
}

StageLink::OnItsWay StageLink::expect(cluster::Communicator& group, int peer,
                                      at::Tensor const& tensor, char const* name) {
    cluster::Message const message{cluster::Message::Kind::receive, peer, buffer_of(tensor)};
    return {tensor, group.exchange({&message, 1}, name)};
}

at::Tensor StageLink::receive(Messages& expected) {
    OnItsWay first = std::move(expected.front());
    expected.pop_front();
    finish(first.work, first.tensor);
    return first.tensor;
}

void StageLink::send_activation(at::Tensor const& x) {
    send(after(activations_, stage_), next_, x, "activation");
}
void StageLink::expect_activation(std::vector<std::int64_t> const& shape,
                                  at::TensorOptions const& options) {
    expected_activations_.push_back(
        expect(after(activations_, previous_), previous_, at::empty(shape, options), "activation"));
}
at::Tensor StageLink::receive_activation() {
    return receive(expected_activations_);
}
void StageLink::send_gradient(at::Tensor const& dx) {
    send(after(gradients_, previous_), previous_, dx, "activation gradient");
}
void StageLink::expect_gradient(std::vector<std::int64_t> const& shape,
                                at::TensorOptions const& options) {
    expected_gradients_.push_back(
        expect(after(gradients_, stage_), next_, at::empty(shape, options), "activation gradient"));
}
at::Tensor StageLink::receive_gradient() {
    return receive(expected_gradients_);
}

void StageLink::flush() {
    for (auto& o : outgoing_) finish(o.work, o.tensor);
    outgoing_.clear();
}

} // namespace trireme::parallel
