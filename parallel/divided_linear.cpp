#include "parallel/divided_linear.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "parallel/graph_address.hpp"
#include "parallel/products_of_layers.hpp"
#include "parallel/rows_in_flight.hpp"

namespace trireme::parallel {

namespace {

using cluster::Communicator;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// out[t, n, O] = x[t, n, I] w[I, O] + bias[O], whatever the strides of out and x.
void product_of_rows(at::Tensor out, at::Tensor const& x, at::Tensor const& w,
                     at::Tensor const& bias = {}) {
    at::Tensor const each = w.unsqueeze(0).expand({x.size(0), -1, -1});
    bias.defined() ? at::baddbmm_out(out, bias, x, each) : at::bmm_out(out, x, each);
}

at::Tensor product_of_chunk(at::Tensor const& x, Chunk const& chunk, at::Tensor const& w,
                            int ranks) {
    at::Tensor const y = x.new_empty({ranks, chunk.count, w.size(1)});
    product_of_rows(y, rows_of(x, chunk, ranks), w);
    return y;
}

/// The group that a node was made with; null where there is one rank.
Communicator* group_in(AutogradContext* context) {
    return context->saved_data.count("group") > 0 ? &recall<Communicator>(context, "group")
                                                  : nullptr;
}

struct ColumnLinears : torch::autograd::Function<ColumnLinears> {
    static variable_list forward(AutogradContext* context, Variable const& x, Layers const& layers,
                                 Communicator* group, Outputs outputs) {
        remember_layers(context, layers);
        if (!group) {
            context->save_for_backward({x});
            return ColumnProducts{layers}.forward(x, outputs);
        }
        remember(context, "group", *group);
        auto const chunks = chunks_of(x, x.size(0), group->size());
        auto const products = products_of(layers, composed(x) && outputs == Outputs::side_by_side);
        if (chunks.size() > 1) {
            context->save_for_backward({x});
            return of_layers(products, in_chunks(x, products, chunks, *group));
        }
        at::Tensor const whole = gather_all(x, *group).land();
        context->save_for_backward({composed(x) ? x : whole});
        return ColumnProducts{layers}.forward(whole, outputs);
    }

    static variable_list in_chunks(at::Tensor const& x, std::vector<Layers> const& products,
                                   std::vector<Chunk> const& chunks, Communicator& group) {
        std::vector<Flight> flights;
        for (auto const& chunk : chunks)
            flights.push_back(gather_all(x.narrow(0, chunk.first, chunk.count), group));
        variable_list y, weights, biases;
        for (auto const& layers : products) {
            weights.push_back(weight_of(layers)), biases.push_back(bias_of(layers));
            y.push_back(x.new_empty({x.size(0) * group.size(), weights.back().size(1)}));
        }
        for (std::size_t c = 0; c < chunks.size(); ++c) {
            at::Tensor const rows =
                flights[c].land().view({group.size(), chunks[c].count, x.size(1)});
            for (std::size_t i = 0; i < products.size(); ++i)
                product_of_rows(rows_of(y[i], chunks[c], group.size()), rows, weights[i],
                                biases[i]);
        }
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        Layers const layers = layers_in(context);
        at::Tensor const kept = context->get_saved_variables()[0];
        auto* const group = group_in(context);
        if (!group) {
            auto const back =
                ColumnProducts{layers}.backward(gradients, context->needs_input_grad(0));
            back.deliver(kept);
            return {back.dx, {}, {}, {}};
        }
        auto const [products, dy] = by_product(layers, gradients, composed(kept));
        bool const gathers = composed(kept) && std::ranges::any_of(layers, trains),
                   later = weight_gradients_wait();
        Flight whole = gathers && !later ? gather_all(kept, *group) : Flight();
        at::Tensor dx = context->needs_input_grad(0) ? input_gradient(products, dy) : at::Tensor();
        Flight sum = dx.defined() ? add_all(dx, *group) : Flight();
        if (!gathers)
            deliver_all(products, dy, kept);
        else if (later)
            now_or_later([=, products = products, dy = dy] {
                deliver_all(products, dy, gather_all(kept, *group).land());
            });
        else
            deliver_all(products, dy, whole.land());
        return {dx.defined() ? sum.land() : dx, {}, {}, {}};
    }
};

at::Tensor divided_product(at::Tensor const& x, LinearUse const& layer, Communicator& group) {
    at::Tensor const w = from_input(layer.weight);
    int const ranks = group.size();
    at::Tensor const y = x.new_empty({x.size(0) / ranks, w.size(1)});
    auto const chunks = chunks_of(x, y.size(0), ranks);
    std::vector<Flight> sums;
    for (auto const& chunk : chunks) {
        at::Tensor const parts =
            chunks.size() == 1 ? product(x, w) : product_of_chunk(x, chunk, w, ranks);
        sums.push_back(Flight::sum(parts, y.narrow(0, chunk.first, chunk.count), group));
    }
    for (auto& sum : sums) sum.land();
    return layer.bias ? y.add_(layer.bias.value()) : y;
}

/// Fills the rows of dx that belong to a chunk's `rows` of the output's gradient.
void multiply_back(at::Tensor dx, Chunk const& chunk, at::Tensor const& rows, at::Tensor const& w) {
    if (rows.size(0) == dx.size(0)) {
        at::mm_out(dx, rows, w);
        return;
    }
    auto const ranks = static_cast<int>(rows.size(0) / chunk.count);
    product_of_rows(rows_of(dx, chunk, ranks), rows.view({ranks, chunk.count, rows.size(1)}), w);
}

/// Gathers the rows of all ranks, whose chunks come one after another, and computes dx meanwhile.
at::Tensor gather_and_multiply(at::Tensor const& dy, at::Tensor dx, at::Tensor const& w,
                               std::vector<Chunk> const& chunks, Communicator& group) {
    at::Tensor const whole = dy.new_empty({dy.size(0) * group.size(), dy.size(1)});
    std::vector<Flight> flights;
    for (auto const& chunk : chunks)
        flights.push_back(Flight::gather(dy.narrow(0, chunk.first, chunk.count),
                                         rows_in_turn(whole, chunk, group.size()), group));
    for (std::size_t c = 0; c < chunks.size(); ++c) {
        at::Tensor const rows = flights[c].land();
        if (dx.defined()) multiply_back(dx, chunks[c], rows, w);
    }
    return whole;
}

LinearBack divided_back(at::Tensor const& gradient, LinearUse const& layer, Communicator& group,
                        bool of_input) {
    at::Tensor const dy = gradient.contiguous();
    at::Tensor const w = from_input(layer.weight).t();
    int const ranks = group.size();
    auto const chunks = chunks_of(dy, dy.size(0), ranks);
    at::Tensor const dx = of_input ? dy.new_empty({dy.size(0) * ranks, w.size(1)}) : at::Tensor();
    at::Tensor const whole = gather_and_multiply(dy, dx, w, chunks, group);
    if (layer.bias && layer.bias.trainable()) layer.bias.deliver(dy.sum(0));
    if (!layer.weight.trainable()) return {dx, [](at::Tensor const&) {}};
    if (weight_gradients_wait() && composed(dy)) // its own rows wait, not those of all
        return {dx, [=, &layer, &group](at::Tensor const& x) {
                    now_or_later([=, &layer, &group] {
                        deliver_gradients(layer.weight, kNoParameter, gather_all(dy, group).land(),
                                          x);
                    });
                }};
    return {dx, [=, &layer](at::Tensor const& x) {
                deliver_gradients(layer.weight, kNoParameter, whole, in_turn(x, chunks, ranks));
            }};
}

struct RowLinear : torch::autograd::Function<RowLinear> {
    static Variable forward(AutogradContext* context, Variable const& x, LinearUse const* layer,
                            Communicator* group) {
        remember(context, "layer", *layer);
        remember(context, "group", *group);
        context->save_for_backward({x});
        return divided_product(x, *layer, *group);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const back = divided_back(gradients[0], recall<LinearUse const>(context, "layer"),
                                       *group_in(context), context->needs_input_grad(0));
        back.deliver(context->get_saved_variables()[0]);
        return {back.dx, {}, {}};
    }
};

} // namespace

std::vector<at::Tensor> column_linears(at::Tensor const& x, Layers const& layers,
                                       TensorAxis const& axis, Outputs outputs) {
    return ColumnLinears::apply(x, layers, axis.size() == 1 ? nullptr : axis.group, outputs);
}

std::vector<at::Tensor> ColumnProducts::forward(at::Tensor const& x, Outputs outputs) const {
    auto const products = products_of(layers, composed(x) && outputs == Outputs::side_by_side);
    variable_list y;
    for (auto const& each : products) y.push_back(product(x, weight_of(each), bias_of(each)));
    return of_layers(products, y);
}

LinearBack ColumnProducts::backward(std::vector<at::Tensor> const& gradients, bool of_input) const {
    auto const [products, dy] = by_product(layers, gradients, composed(gradients[0]));
    return {of_input ? input_gradient(products, dy) : at::Tensor(),
            [products = products, dy = dy](at::Tensor const& x) { deliver_all(products, dy, x); }};
}

at::Tensor RowProduct::forward(at::Tensor const& x) const {
    return axis.size() > 1 ? divided_product(x, layer, *axis.group)
                           : linear_forward(x, layer.weight, layer.bias);
}

LinearBack RowProduct::backward(at::Tensor const& dy, bool of_input) const {
    return axis.size() > 1 ? divided_back(dy, layer, *axis.group, of_input)
                           : linear_backward(dy, layer.weight, layer.bias, of_input);
}

at::Tensor row_linear(at::Tensor const& x, LinearUse const& layer, TensorAxis const& axis) {
    if (axis.size() == 1) return linear(x, layer.weight, layer.bias);
    return RowLinear::apply(x, &layer, axis.group);
}

} // namespace trireme::parallel
