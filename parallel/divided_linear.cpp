#include "parallel/divided_linear.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::parallel {

namespace {

using cluster::Communicator;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
using Layers = std::vector<LinearUse const*>;

/// A collective of rows that is under way, and the memory that it reads and writes.
class Flight {
  public:
    Flight() = default;
    static Flight gather(at::Tensor const& own, at::Tensor const& all, Communicator& group) {
        at::Tensor const in = own.contiguous();
        return {in, all, group.all_gather(buffer_of(in), buffer_of(all), "sequence")};
    }
    static Flight sum(at::Tensor const& parts, at::Tensor const& own, Communicator& group) {
        return {parts, own,
                group.reduce_scatter(buffer_of(parts), buffer_of(own), cluster::ReduceOp::sum,
                                     "sequence")};
    }
    /// Returns the result, which what is computed from now on may read.
    at::Tensor land() {
        finish(work_, out_);
        in_.reset();
        return std::move(out_);
    }

  private:
    Flight(at::Tensor in, at::Tensor out, cluster::Work work)
        : in_(std::move(in)), out_(std::move(out)), work_(std::move(work)) {}

    at::Tensor in_, out_;
    cluster::Work work_;
};

Flight gather_all(at::Tensor const& own, Communicator& group) {
    return Flight::gather(own, own.new_empty({own.size(0) * group.size(), own.size(1)}), group);
}

Flight add_all(at::Tensor const& parts, Communicator& group) {
    return Flight::sum(parts, parts.new_empty({parts.size(0) / group.size(), parts.size(1)}),
                       group);
}

/// Rows [first, first + count) of each rank's stretch of the sequence.
struct Chunk {
    std::int64_t first, count;
};

/// Cuts the `own` rows of each of `ranks` stretches, of which this rank has `x` or will have.
std::vector<Chunk> chunks_of(at::Tensor const& x, std::int64_t own, int ranks) {
    std::int64_t const filled = own * ranks / budgets.divided_rows,
                       n = composed(x)
                               ? std::clamp<std::int64_t>(filled, 1, std::max<std::int64_t>(own, 1))
                               : 1;
    std::vector<Chunk> chunks;
    for (std::int64_t i = 0; i < n; ++i)
        chunks.push_back({i * own / n, (i + 1) * own / n - i * own / n});
    return chunks;
}

/// Views the rows of a chunk, [t, count, N], in x[T, N], which holds the stretches of `ranks`.
at::Tensor rows_of(at::Tensor const& x, Chunk const& chunk, int ranks) {
    return x.view({ranks, -1, x.size(1)}).narrow(1, chunk.first, chunk.count);
}

/// Views the rows of a chunk, [t count, N], in a tensor where chunks lie one after another, as they
/// are gathered.
at::Tensor rows_in_turn(at::Tensor const& x, Chunk const& chunk, int ranks) {
    return x.narrow(0, chunk.first * ranks, chunk.count * ranks);
}

/// Copies x[T, N] so that its chunks lie one after another; x itself where there is one.
at::Tensor in_turn(at::Tensor const& x, std::vector<Chunk> const& chunks, int ranks) {
    if (chunks.size() == 1) return x;
    at::Tensor const y = at::empty_like(x);
    for (auto const& chunk : chunks)
        rows_in_turn(y, chunk, ranks)
            .view({ranks, chunk.count, x.size(1)})
            .copy_(rows_of(x, chunk, ranks));
    return y;
}

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

at::Tensor bias_of(LinearUse const& layer) {
    return layer.bias ? layer.bias.value() : at::Tensor();
}

bool trains(LinearUse const* layer) {
    return layer->weight.trainable();
}

void deliver_all(Layers const& layers, variable_list const& dy, at::Tensor const& x) {
    for (std::size_t i = 0; i < layers.size(); ++i)
        deliver_gradients(layers[i]->weight, layers[i]->bias, dy[i], x);
}

/// Computes the gradient of the x that all layers read, added by the products to spare additions.
at::Tensor input_gradient(Layers const& layers, variable_list const& dy) {
    at::Tensor dx = at::mm(dy[0], from_input(layers[0]->weight).t());
    for (std::size_t i = 1; i < layers.size(); ++i)
        dx.addmm_(dy[i], from_input(layers[i]->weight).t());
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
                                 Communicator* group) {
        if (group) remember(context, "group", *group);
        remember_layers(context, layers);
        auto const chunks = group ? chunks_of(x, x.size(0), group->size()) : std::vector<Chunk>(1);
        if (chunks.size() > 1) return in_chunks(context, x, layers, chunks, *group);
        at::Tensor const whole = group ? gather_all(x, *group).land() : x;
        context->save_for_backward({group && composed(x) ? x : whole});
        variable_list y;
        for (auto const* layer : layers)
            y.push_back(product(whole, from_input(layer->weight), bias_of(*layer)));
        return y;
    }

    static variable_list in_chunks(AutogradContext* context, at::Tensor const& x,
                                   Layers const& layers, std::vector<Chunk> const& chunks,
                                   Communicator& group) {
        context->save_for_backward({x});
        std::vector<Flight> flights;
        for (auto const& chunk : chunks)
            flights.push_back(gather_all(x.narrow(0, chunk.first, chunk.count), group));
        variable_list y;
        for (auto const* layer : layers)
            y.push_back(x.new_empty({x.size(0) * group.size(), from_input(layer->weight).size(1)}));
        for (std::size_t c = 0; c < chunks.size(); ++c) {
            at::Tensor const rows =
                flights[c].land().view({group.size(), chunks[c].count, x.size(1)});
            for (std::size_t i = 0; i < layers.size(); ++i)
                product_of_rows(rows_of(y[i], chunks[c], group.size()), rows,
                                from_input(layers[i]->weight), bias_of(*layers[i]));
        }
        return y;
    }

    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        Layers const layers = layers_in(context);
        auto* const group = group_in(context);
        at::Tensor const kept = context->get_saved_variables()[0];
        variable_list dy;
        for (auto const& gradient : gradients) dy.push_back(gradient.contiguous());
        bool const gathers = group && composed(kept) && std::ranges::any_of(layers, trains),
                   later = weight_gradients_wait();
        Flight whole = gathers && !later ? gather_all(kept, *group) : Flight();
        at::Tensor dx = context->needs_input_grad(0) ? input_gradient(layers, dy) : at::Tensor();
        bool const adds = group && dx.defined();
        Flight sum = adds ? add_all(dx, *group) : Flight();
        if (!gathers)
            deliver_all(layers, dy, kept);
        else if (later)
            now_or_later([=] { deliver_all(layers, dy, gather_all(kept, *group).land()); });
        else
            deliver_all(layers, dy, whole.land());
        return {adds ? sum.land() : dx, {}, {}};
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
                                       TensorAxis const& axis) {
    return ColumnLinears::apply(x, layers, axis.size() == 1 ? nullptr : axis.group);
}

at::Tensor row_linear(at::Tensor const& x, LinearUse const& layer, TensorAxis const& axis) {
    if (axis.size() == 1) return linear(x, layer.weight, layer.bias);
    at::Tensor const y = RowLinear::apply(x, &layer, axis.group);
    return layer.bias ? AddBias::apply(y, &layer.bias) : y;
}

} // namespace trireme::parallel
