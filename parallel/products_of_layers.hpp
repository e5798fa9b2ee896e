// Products of layers that read the same x, several of them at once where that is possible
// (parallel/divided_linear.hpp, [Note: one product for several layers]).
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "parallel/joined.hpp"
#include "parallel/linear.hpp"

namespace trireme::parallel {

using Layers = std::vector<LinearUse const*>;

inline bool trains(LinearUse const* layer) {
    return layer->weight.trainable();
}

inline std::int64_t width_of(LinearUse const* layer) {
    return layer->weight.parameter().shape()[layer->weight.input_major() ? 1 : 0];
}

/// The weights [D, O] of layers whose outputs one product makes; undefined where they do not lie
/// one after another.
inline at::Tensor weight_of(Layers const& layers) {
    if (layers.size() == 1) return from_input(layers[0]->weight);
    std::vector<at::Tensor> weights;
    for (auto const* layer : layers) weights.push_back(layer->weight.value());
    at::Tensor const all = joined(weights, 0);
    return all.defined() ? all.t() : all;
}
/// Their biases [O], put together where they do not lie so; undefined if there are none.
inline at::Tensor bias_of(Layers const& layers) {
    std::vector<at::Tensor> biases;
    for (auto const* layer : layers)
        if (layer->bias) biases.push_back(layer->bias.value());
    if (biases.empty()) return {};
    at::Tensor const all = joined(biases, 0);
    return all.defined() ? all : at::cat(biases);
}

/// Groups layers that read one x by the products that make their outputs: each has its own, unless
/// all are made `at_once` and lie one after another.
inline std::vector<Layers> products_of(Layers const& layers, bool at_once) {
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
inline std::vector<at::Tensor> of_layers(std::vector<Layers> const& products,
                                         std::vector<at::Tensor> const& y) {
    if (products.size() == y.size() && products[0].size() == 1) return y;
    std::vector<std::int64_t> widths;
    std::ranges::transform(products[0], std::back_inserter(widths), width_of);
    return columns_of(y[0], widths);
}

/// Delivers the gradients of layers whose outputs one product made, where their own is dy[T, O]:
/// those of weights in one product, too, if their buffers lie one after another.
inline void deliver_together(Layers const& layers, at::Tensor const& dy, at::Tensor const& x) {
    std::vector<at::Tensor> const of_each = of_layers({layers}, {dy});
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

inline void deliver_all(std::vector<Layers> const& products, std::vector<at::Tensor> const& dy,
                        at::Tensor const& x) {
    for (std::size_t i = 0; i < products.size(); ++i)
        if (products[i].size() == 1)
            deliver_gradients(products[i][0]->weight, products[i][0]->bias, dy[i], x);
        else
            now_or_later(
                [layers = products[i], of_all = dy[i], x] { deliver_together(layers, of_all, x); });
}

/// Computes the gradient of the x that all layers read, added by the products to spare additions.
inline at::Tensor input_gradient(std::vector<Layers> const& products,
                                 std::vector<at::Tensor> const& dy) {
    at::Tensor dx = at::mm(dy[0], weight_of(products[0]).t());
    for (std::size_t i = 1; i < products.size(); ++i) dx.addmm_(dy[i], weight_of(products[i]).t());
    return dx;
}

/// Products, and the gradient of what each made, of the gradients of the layers' outputs.
struct ProductGradients {
    std::vector<Layers> products;
    std::vector<at::Tensor> dy;
};
/// `at_once`: one product may read gradients that come side by side.
inline ProductGradients by_product(Layers const& layers, std::vector<at::Tensor> const& gradients,
                                   bool at_once) {
    std::vector<at::Tensor> rows;
    for (auto const& gradient : gradients) rows.push_back(dense_rows(gradient));
    bool const alike = std::ranges::count_if(layers, trains) % std::ssize(layers) == 0;
    at::Tensor const side_by_side = at_once && alike ? joined(rows, 1) : at::Tensor();
    auto products = products_of(layers, side_by_side.defined());
    if (products.size() < rows.size()) rows = {side_by_side};
    return {std::move(products), std::move(rows)};
}

/// Keeps the layers for the backward pass of a node. They must outlive the graph.
template <typename Context>
void remember_layers(Context* context, Layers const& layers) {
    std::vector<std::int64_t> addresses;
    for (auto const* layer : layers) addresses.push_back(reinterpret_cast<std::int64_t>(layer));
    context->saved_data["layers"] = addresses;
}
template <typename Context>
Layers layers_in(Context* context) {
    Layers layers;
    for (auto const address : context->saved_data["layers"].toIntVector())
        layers.push_back(reinterpret_cast<LinearUse const*>(address));
    return layers;
}

} // namespace trireme::parallel
