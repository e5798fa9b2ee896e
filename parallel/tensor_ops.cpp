#include "parallel/tensor_ops.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include "parallel/graph_address.hpp"
#include "parallel/linear.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor all_gather_rows(at::Tensor const& x, cluster::Communicator& group) {
    at::Tensor const in = x.contiguous(), out = x.new_empty({x.size(0) * group.size(), x.size(1)});
    finish(group.all_gather(buffer_of(in), buffer_of(out), "sequence"), out);
    return out;
}

at::Tensor reduce_scatter_rows(at::Tensor const& x, cluster::Communicator& group) {
    at::Tensor const in = x.contiguous(), out = x.new_empty({x.size(0) / group.size(), x.size(1)});
    finish(group.reduce_scatter(buffer_of(in), buffer_of(out), cluster::ReduceOp::sum, "sequence"),
           out);
    return out;
}

struct GatherSequence : torch::autograd::Function<GatherSequence> {
    static Variable forward(AutogradContext* context, Variable const& x,
                            cluster::Communicator* group) {
        remember(context, "group", *group);
        return all_gather_rows(x, *group);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto& group = recall<cluster::Communicator>(context, "group");
        return {reduce_scatter_rows(gradients[0], group), {}};
    }
};

struct GatherSequenceAlike : torch::autograd::Function<GatherSequenceAlike> {
    static Variable forward(AutogradContext* context, Variable const& x,
                            cluster::Communicator* group) {
        remember(context, "group", *group);
        return all_gather_rows(x, *group);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& group = recall<cluster::Communicator>(context, "group");
        std::int64_t const rows = gradients[0].size(0) / group.size();
        return {gradients[0].narrow(0, group.rank() * rows, rows).contiguous(), {}};
    }
};

struct ScatterSum : torch::autograd::Function<ScatterSum> {
    static Variable forward(AutogradContext* context, Variable const& x,
                            cluster::Communicator* group) {
        remember(context, "group", *group);
        return reduce_scatter_rows(x, *group);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        return {all_gather_rows(gradients[0], recall<cluster::Communicator>(context, "group")), {}};
    }
};

} // namespace

at::Tensor gather_sequence(at::Tensor const& x, TensorAxis const& axis) {
    return axis.size() == 1 ? x : GatherSequence::apply(x, axis.group);
}

at::Tensor gather_sequence_alike(at::Tensor const& x, TensorAxis const& axis) {
    return axis.size() == 1 ? x : GatherSequenceAlike::apply(x, axis.group);
}

at::Tensor scatter_sum(at::Tensor const& x, TensorAxis const& axis) {
    return axis.size() == 1 ? x : ScatterSum::apply(x, axis.group);
}

at::Tensor row_embedding(at::Tensor const& anchor, at::Tensor const& ids, ParameterUse const& table,
                         TensorAxis const& axis) {
    return scatter_sum(embedding(anchor, ids, table), axis);
}

} // namespace trireme::parallel
