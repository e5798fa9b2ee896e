#include "parallel/linear.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/launches.hpp"
#include "parallel/pieces.hpp"

namespace trireme::parallel {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Rows and columns of a piece: enough work to pay for laying out its operands.
constexpr std::int64_t kPieceRows = 128, kPieceColumns = 256;

/// Piece i of the columns or rows [0, all). The last takes what is left over, since libraries sum
/// otherwise in products of very few rows.
struct Piece {
    Piece(std::int64_t i, std::int64_t all, std::int64_t size)
        : first(i * size), count(i + 1 < pieces(all, size) ? size : all - first) {}
    static std::int64_t pieces(std::int64_t all, std::int64_t size) {
        return std::max<std::int64_t>(1, all / size);
    }
    std::int64_t first, count;
};

at::Tensor product_in_pieces(at::Tensor const& a, at::Tensor const& b, at::Tensor const& bias) {
    std::int64_t const m = a.size(0), n = b.size(1), across = Piece::pieces(n, kPieceColumns);
    at::Tensor const whole = at::empty({m, n}, a.options());
    each_in_one_thread(Piece::pieces(m, kPieceRows) * across, [&](std::int64_t i) {
        at::AutoDispatchBelowADInplaceOrView const no_graph;
        Piece const row(i / across, m, kPieceRows), column(i % across, n, kPieceColumns);
        at::Tensor const left = a.narrow(0, row.first, row.count),
                         right = b.narrow(1, column.first, column.count);
        at::Tensor out =
            whole.narrow(0, row.first, row.count).narrow(1, column.first, column.count);
        if (bias.defined())
            at::addmm_out(out, bias.narrow(0, column.first, column.count), left, right);
        else
            at::mm_out(out, left, right);
    });
    return whole;
}

struct LinearFunction : torch::autograd::Function<LinearFunction> {
    static Variable forward(AutogradContext* context, Variable const& x, ParameterUse const* weight,
                            ParameterUse const* bias) {
        remember(context, "weight", *weight);
        remember(context, "bias", *bias);
        context->save_for_backward({x});
        return linear_forward(x, *weight, *bias);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& weight = recall<ParameterUse const>(context, "weight");
        auto const& bias = recall<ParameterUse const>(context, "bias");
        auto const back = linear_backward(gradients[0], weight, bias, context->needs_input_grad(0));
        back.deliver(context->get_saved_variables()[0]);
        return {back.dx, {}, {}};
    }
};

template <typename T>
void add_rows(T* table, T const* rows, std::int64_t const* ids, std::int64_t count,
              std::int64_t width) {
    for (std::int64_t t = 0; t < count; ++t) {
        if (ids[t] < 0) continue;
        T* out = table + ids[t] * width;
        T const* in = rows + t * width;
        for (std::int64_t d = 0; d < width; ++d) out[d] += in[d];
    }
}

void add_rows(at::Tensor const& table, at::Tensor const& rows, at::Tensor const& ids) {
    if (composed(table)) { // by sorting, not by atomic additions: the same bits every time
        at::Tensor const counted = rows.masked_fill((ids < 0).unsqueeze(1), 0);
        table.index_put_({ids.clamp_min(0)}, counted, true);
        return;
    }
    note_kernel("trireme::add_rows", {rows, ids}, {rows});
    if (table.is_meta()) return;
    auto const* id = ids.const_data_ptr<std::int64_t>();
    std::int64_t const width = table.size(1);
    if (table.scalar_type() == at::kDouble)
        add_rows(table.data_ptr<double>(), rows.const_data_ptr<double>(), id, ids.numel(), width);
    else
        add_rows(table.data_ptr<float>(), rows.const_data_ptr<float>(), id, ids.numel(), width);
}

/// Rows of the gradient that the tokens add to; -1 where they add to none.
at::Tensor trained(at::Tensor const& rows, at::Tensor const& ids, ParameterUse const& table) {
    std::int64_t const untrained = table.parameter().spec().untrained_row;
    return untrained < 0 ? rows : rows.masked_fill(ids == untrained, -1);
}

struct EmbeddingFunction : torch::autograd::Function<EmbeddingFunction> {
    static Variable forward(AutogradContext* context, Variable const& /*anchor*/,
                            at::Tensor const& ids, ParameterUse const* table) {
        remember(context, "table", *table);
        TensorSlice const& slice = table->parameter().slice();
        if (slice.real == table->parameter().spec().shape[0]) {
            context->saved_data["ids"] = trained(ids, ids, *table);
            return pick_rows(table->value(), ids);
        }
        // Ids of rows that other ranks hold become -1.
        at::Tensor const here = (ids >= slice.first) & (ids < slice.first + slice.real),
                         local = (ids - slice.first).masked_fill_(here.bitwise_not(), -1);
        context->saved_data["ids"] = trained(local, ids, *table);
        return pick_rows(table->value(), local.clamp_min(0))
            .masked_fill_(here.bitwise_not().unsqueeze(1), 0);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        auto const& table = recall<ParameterUse const>(context, "table");
        if (table.trainable())
            now_or_later([&table, dy = gradients[0], ids = context->saved_data["ids"].toTensor()] {
                at::Tensor const gradient = table.accumulate_rows(ids);
                add_rows(gradient, dy.to(gradient.scalar_type()).contiguous(), ids);
            });
        return {{}, {}, {}};
    }
};

} // namespace

at::Tensor product(at::Tensor const& a, at::Tensor const& b, at::Tensor const& bias) {
    if (products_in_pieces.load(std::memory_order_relaxed) && a.is_cpu())
        return product_in_pieces(a, b, bias);
    return bias.defined() ? at::addmm(bias, a, b) : at::mm(a, b);
}

at::Tensor from_input(ParameterUse const& weight) {
    return weight.input_major() ? weight.value() : weight.value().t();
}

void deliver_gradients(ParameterUse const& weight, ParameterUse const& bias, at::Tensor const& dy,
                       at::Tensor const& x) {
    if (weight.trainable())
        weight.input_major() ? weight.deliver_product(x.t(), dy)
                             : weight.deliver_product(dy.t(), x);
    if (bias && bias.trainable()) bias.deliver(dy.sum(0));
}

at::Tensor linear_forward(at::Tensor const& x, ParameterUse const& weight,
                          ParameterUse const& bias) {
    return product(x, from_input(weight), bias ? bias.value() : at::Tensor());
}

LinearBack linear_backward(at::Tensor const& gradient, ParameterUse const& weight,
                           ParameterUse const& bias, bool of_input) {
    at::Tensor const dy = gradient.contiguous();
    return {of_input ? at::mm(dy, from_input(weight).t()) : at::Tensor(),
            [dy, &weight, &bias](at::Tensor const& x) { deliver_gradients(weight, bias, dy, x); }};
}

at::Tensor linear(at::Tensor const& x, ParameterUse const& weight, ParameterUse const& bias) {
    return LinearFunction::apply(x, &weight, &bias);
}

at::Tensor embedding(at::Tensor const& anchor, at::Tensor const& ids, ParameterUse const& table) {
    return EmbeddingFunction::apply(anchor, ids, &table);
}

at::Tensor pick_rows(at::Tensor const& table, at::Tensor const& ids) {
    if (!table.is_meta()) return table.index_select(0, ids);
    // The meta device has no such operation of its own.
    auto shape = table.sizes().vec();
    shape[0] = ids.numel();
    at::Tensor const rows = table.new_empty(shape);
    note_kernel("trireme::pick_rows", {rows, ids}, {rows});
    return rows;
}

} // namespace trireme::parallel
