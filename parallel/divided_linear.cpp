#include "parallel/divided_linear.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "parallel/graph_address.hpp"
#include "parallel/joined.hpp"
#include "parallel/rows_in_flight.hpp"

namespace trireme::parallel {

namespace {

using cluster::Communicator;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
using Layers = std::vector<LinearUse const*>;

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

bool trains(LinearUse const* layer) {
    return layer->weight.trainable();
}

std::int64_t width_of(LinearUse const* layer) {
    return layer->weight.parameter().shape()[layer->weight.input_major() ? 1 : 0];
}

/// The weights [D, O] of layers whose outputs one product makes; undefined where they do not lie
/// one after another.
at::Tensor weight_of(Layers const& layers) {
    if (layers.size() == 1) return from_input(layers[0]->weight);
    std::vector<at::Tensor> weights;
    for (auto const* layer : layers) weights.push_back(layer->weight.value());
    at::Tensor const all = joined(weights, 0);
    return all.defined() ? all.t() : all;
}
/// Their biases [O], put together where they do not lie so; undefined if there are none.
at::Tensor bias_of(Layers const& layers) {
    std::vector<at::Tensor> biases;
    for (auto const* layer : layers)
        if (layer->bias) biases.push_back(layer->bias.value());
    if (biases.empty()) return {};
    at::Tensor const all = joined(biases, 0);
    return all.defined() ? all : at::cat(biases);
}

/// Groups layers that read one x by the products that make their outputs: each has its own, unless
/// all are made `at_once` and lie one after another.
std::vector<Layers> products_of(Layers const& layers, bool at_once) {
    auto const like_the_first = [&](LinearUse const* layer) {
        return !layer->weight.input_major() && bool(layer->bias) == bool(layers[0]->bias);
    };
    if (at_once && std::ranges::all_of(layers, like_the_first) && weight_of(layers).defined())
        return {layers};
    std::vector<Layers> each;
    for (auto const* layer : layers) each.push_back({layer});
    return each;
}

/// Views what products made as the outputs of the layers.
variable_list of_layers(std::vector<Layers> const& products, variable_list const& y) {
    if (products.size() == y.size() && products[0].size() == 1) return y;
    std::vector<std::int64_t> widths;
    std::ranges::transform(products[0], std::back_inserter(widths), width_of);
    return columns_of(y[0], widths);
}

/// Delivers the gradients of layers whose outputs one product made, where their own is dy[T, O]:
/// those of weights in one product, too, if their buffers lie one after another.
void deliver_together(Layers const& layers, at::Tensor const& dy, at::Tensor const& x) {
    variable_list const of_each = of_layers({layers}, {dy});
    for (std::size_t i = 0; i < layers.size(); ++i)
        if (layers[i]->bias && layers[i]->bias.trainable())
            layers[i]->bias.deliver(of_each[i].sum(0));
    if (!trains(layers[0])) return;
    std::vector<at::Tensor> buffers;
    std::vector<bool> fresh;
    for (auto const* layer : layers) {
        auto const sum = layer->weight.accumulate();
        buffers.push_back(sum.buffer), fresh.push_back(sum.fresh);
    }
    at::Tensor const all = joined(buffers, 0);
    if (all.defined() && std::ranges::count(fresh, fresh[0]) == std::ssize(fresh))
        return product_into(all, dy.t(), x, fresh[0]);
    for (std::size_t i = 0; i < layers.size(); ++i)
        product_into(buffers[i], of_each[i].t(), x, fresh[i]);
}

void deliver_all(std::vector<Layers> const& products, variable_list const& dy,
                 at::Tensor const& x) {
    for (std::size_t i = 0; i < products.size(); ++i)
        if (products[i].size() == 1)
            deliver_gradients(products[i][0]->weight, products[i][0]->bias, dy[i], x);
        else
            now_or_later(
                [layers = products[i], of_all = dy[i], x] { deliver_together(layers, of_all, x); });
}

/// Computes the gradient of the x that all layers read, added by the products to spare additions.
at::Tensor input_gradient(std::vector<Layers> const& products, variable_list const& dy) {
    at::Tensor dx = at::mm(dy[0], weight_of(products[0]).t());
    for (std::size_t i = 1; i < products.size(); ++i) dx.addmm_(dy[i], weight_of(products[i]).t());
    return dx;
}

void remember_layers(AutogradContext* context, Layers const& layers) {
    std::vector<std::int64_t> addresses;
    for (auto const* layer : layers) addresses.push_back(reinterpret_cast<std::int64_t>(layer));
    context->saved_data["layers"] = addresses;
}
Layers layers_in(AutogradContext* context) {
    Layers layers;
    for (auto const address : context->saved_data["layers"].toIntVector())
        layers.push_back(reinterpret_cast<LinearUse const*>(address));
    return layers;
}

/// The group that a node was made with; null where there is one rank.
Communicator* group_in(AutogradContext* context) {
    return context->saved_data.count("group") > 0 ? &recall<Communicator>(context, "group")
                                                  : nullptr;
}

struct ColumnLinears : torch::autograd::Function<ColumnLinears> {
    static variable_list forward(AutogradContext* context, Variable const& x, Layers const& layers,
                                 Communicator* group, Outputs outputs) {
        if (group) remember(context, "group", *group);
        remember_layers(context, layers);
        auto const chunks = group ? chunks_of(x, x.size(0), group->size()) : std::vector<Chunk>(1);
        auto const products = products_of(layers, composed(x) && outputs == Outputs::side_by_side);
        if (chunks.size() > 1) {
            context->save_for_backward({x});
            return of_layers(products, in_chunks(x, products, chunks, *group));
        }
        at::Tensor const whole = group ? gather_all(x, *group).land() : x;
        context->save_for_backward({group && composed(x) ? x : whole});
        variable_list y;
        for (auto const& each : products)
            y.push_back(product(whole, weight_of(each), bias_of(each)));
        return of_layers(products, y);
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
        auto* const group = group_in(context);
        at::Tensor const kept = context->get_saved_variables()[0];
        variable_list rows;
        for (auto const& gradient : gradients) rows.push_back(dense_rows(gradient));
        bool const alike = std::ranges::count_if(layers, trains) % std::ssize(layers) == 0;
        at::Tensor const side_by_side = composed(kept) && alike ? joined(rows, 1) : at::Tensor();
        auto const products = products_of(layers, side_by_side.defined());
        variable_list const dy = products.size() < rows.size() ? variable_list{side_by_side} : rows;
        bool const gathers = group && composed(kept) && std::ranges::any_of(layers, trains),
                   later = weight_gradients_wait();
        Flight whole = gathers && !later ? gather_all(kept, *group) : Flight();
        at::Tensor dx = context->needs_input_grad(0) ? input_gradient(products, dy) : at::Tensor();
        bool const adds = group && dx.defined();
        Flight sum = adds ? add_all(dx, *group) : Flight();
        if (!gathers)
            deliver_all(products, dy, kept);
        else if (later)
            now_or_later([=] { deliver_all(products, dy, gather_all(kept, *group).land()); });
        else
            deliver_all(products, dy, whole.land());
        return {adds ? sum.land() : dx, {}, {}, {}};
    }
};

struct RowLinear : torch::autograd::Function<RowLinear> {
    static Variable forward(AutogradContext* context, Variable const& x, LinearUse const* layer,
                            Communicator* group) {
        remember(context, "layer", *layer);
        remember(context, "group", *group);
        context->save_for_backward({x});
        at::Tensor const w = from_input(layer->weight);
        int const ranks = group->size();
        at::Tensor const y = x.new_empty({x.size(0) / ranks, w.size(1)});
        auto const chunks = chunks_of(x, y.size(0), ranks);
        std::vector<Flight> sums;
        for (auto const& chunk : chunks) {
            at::Tensor const parts =
                chunks.size() == 1 ? product(x, w) : product_of_chunk(x, chunk, w, ranks);
            sums.push_back(Flight::sum(parts, y.narrow(0, chunk.first, chunk.count), *group));
        }
        for (auto& sum : sums) sum.land();
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& layer = recall<LinearUse const>(context, "layer");
        auto& group = recall<Communicator>(context, "group");
        at::Tensor const x = context->get_saved_variables()[0], dy = gradients[0].contiguous(),
                         w = from_input(layer.weight).t();
        int const ranks = group.size();
        auto const chunks = chunks_of(x, dy.size(0), ranks);
        at::Tensor const whole = dy.new_empty({x.size(0), dy.size(1)});
        std::vector<Flight> flights;
        for (auto const& chunk : chunks)
            flights.push_back(Flight::gather(dy.narrow(0, chunk.first, chunk.count),
                                             rows_in_turn(whole, chunk, ranks), group));
        at::Tensor const dx = context->needs_input_grad(0) ? at::empty_like(x) : at::Tensor();
        for (std::size_t c = 0; c < chunks.size(); ++c) {
            at::Tensor const rows = flights[c].land();
            if (dx.defined()) multiply_back(dx, chunks[c], rows, w);
        }
        if (!layer.weight.trainable()) return {dx, {}, {}};
        if (weight_gradients_wait() && composed(x)) // its own rows wait, not those of all
            now_or_later([=, &layer, &group] {
                deliver_gradients(layer.weight, kNoParameter, gather_all(dy, group).land(), x);
            });
        else
            deliver_gradients(layer.weight, kNoParameter, whole, in_turn(x, chunks, ranks));
        return {dx, {}, {}};
    }

    /// Fills the rows of dx that belong to a chunk's `rows` of the output's gradient.
    static void multiply_back(at::Tensor dx, Chunk const& chunk, at::Tensor const& rows,
                              at::Tensor const& w) {
        if (rows.size(0) == dx.size(0)) {
            at::mm_out(dx, rows, w);
            return;
        }
        auto const ranks = static_cast<int>(rows.size(0) / chunk.count);
        product_of_rows(rows_of(dx, chunk, ranks), rows.view({ranks, chunk.count, rows.size(1)}),
                        w);
    }
};

struct AddBias : torch::autograd::Function<AddBias> {
    static Variable forward(AutogradContext* context, Variable const& x, ParameterUse const* bias) {
        remember(context, "bias", *bias);
        return x + bias->value();
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& bias = recall<ParameterUse const>(context, "bias");
        if (bias.trainable()) bias.deliver(gradients[0].sum(0));
        return {gradients[0], {}};
    }
};

} // namespace

std::vector<at::Tensor> column_linears(at::Tensor const& x, Layers const& layers,
                                       TensorAxis const& axis, Outputs outputs) {
    return ColumnLinears::apply(x, layers, axis.size() == 1 ? nullptr : axis.group, outputs);
}

at::Tensor row_linear(at::Tensor const& x, LinearUse const& layer, TensorAxis const& axis) {
    if (axis.size() == 1) return linear(x, layer.weight, layer.bias);
    at::Tensor const y = RowLinear::apply(x, &layer, axis.group);
    return layer.bias ? AddBias::apply(y, &layer.bias) : y;
}

} // namespace trireme::parallel
