// Angles of rotary positions, as transformers computes them, and turning by them.
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "framework/kernels/rotary.hpp"
#include "framework/model/dispatch.hpp"
#include "framework/model/fused.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/token_rows.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/graph_address.hpp"
#include "parallel/joined.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::model {

namespace {

using parallel::recall;
using parallel::remember;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Divides low frequencies (long waves) by the factor, keeps high ones, and blends those between
/// (Llama 3.1).
at::Tensor stretch_llama3(RotaryStretch const& s, at::Tensor const& frequency) {
    auto const context = static_cast<double>(s.original_context);
    at::Tensor const wave = frequency.reciprocal() * (2 * std::numbers::pi);
    at::Tensor const slow = wave > context / s.low_frequency,
                     fast = wave < context / s.high_frequency;
    at::Tensor const slowed = at::where(slow, frequency / s.factor, frequency);
    at::Tensor const blend =
        (wave.reciprocal() * context - s.low_frequency) / (s.high_frequency - s.low_frequency);
    at::Tensor const between = (1 - blend) * slowed / s.factor + blend * slowed;
    return at::where(at::logical_or(slow, fast), slowed, between);
}

/// The pair that turns so often within the first context.
double pair_of(double turns, RotaryStretch const& s, double size, double base) {
    return size *
           std::log(static_cast<double>(s.original_context) / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(base));
}

/// Divides by the factor the frequencies of pairs that turn less than low_frequency times within
/// the first context, keeps those of pairs that turn more than high_frequency times, and blends
/// between them along the pairs (Peng et al., "YaRN", 2023). `power`: base to the exponents.
at::Tensor stretch_yarn(RotaryStretch const& s, at::Tensor const& power, double base) {
    double const size = static_cast<double>(2 * power.size(0));
    double first = pair_of(s.high_frequency, s, size, base),
           last = pair_of(s.low_frequency, s, size, base);
    if (s.whole_pairs) first = std::floor(first), last = std::ceil(last);
    first = std::max(first, 0.0), last = std::min(last, size - 1);
    if (first == last) last += 0.001;
    at::Tensor const
        slow = (at::arange(power.size(0), power.options()) - first).div_(last - first).clamp_(0, 1),
        fast = 1 - slow;
    return (power * s.factor).reciprocal() * (1 - fast) + power.reciprocal() * fast;
}

/// Divides each frequency by a factor of its own (Ding et al., "LongRoPE", 2024).
at::Tensor stretch_each(std::vector<double> const& factors, at::Tensor const& power) {
    return (at::tensor(factors, at::kDouble).to(power.scalar_type()) * power).reciprocal();
}

/// Radians per position of each pair, [half the numbers that turn].
at::Tensor rotary_frequencies(Config const& config, at::ScalarType dtype, LayerRotary which,
                              bool of_long) {
    std::int64_t const size = config.rotary_size ? config.rotary_size : config.head_size;
    bool const local = which == LayerRotary::local;
    double const base = local ? config.local_rotary_base : config.rotary_base;
    at::Tensor const exponent =
        at::arange(0, size, 2, at::kLong).to(dtype) / static_cast<double>(size);
    at::Tensor const power = at::pow(base, exponent);
    RotaryStretch const& stretch = config.rotary;
    switch (local ? RotaryScaling::none : stretch.scaling) {
    case RotaryScaling::none: break;
    case RotaryScaling::linear: return power.reciprocal() / stretch.factor;
    case RotaryScaling::llama3: return stretch_llama3(stretch, power.reciprocal());
    case RotaryScaling::yarn: return stretch_yarn(stretch, power, base);
    case RotaryScaling::by_frequency:
        return stretch_each(of_long ? stretch.long_factors : stretch.factors, power);
    }
    return power.reciprocal();
}

/// Rows of the table for all tokens; none: those of their positions.
std::vector<std::int32_t> table_rows_of(RotaryTable const& table, Pass const& pass) {
    return table.short_context > 0 ? rows_by_length(pass.micro_batch, table.short_context)
                                   : std::vector<std::int32_t>();
}
at::Tensor on_device_of(Pass const& pass, std::vector<std::int32_t> const& rows) {
    return rows.empty() ? pass.ids.positions
                        : on_device({rows.begin(), rows.end()}, pass.ids.positions.device());
}

at::Tensor rotate(at::Tensor const& input, std::int64_t heads, RotaryTable const& table,
                  Pass const& pass, int direction) {
    at::Tensor const x = for_kernel(input), &cosine = table.cosine, &sine = table.sine;
    std::vector<std::int32_t> const rows = table_rows_of(table, pass);
    at::Tensor const y = at::empty_like(x);
    parallel::note_kernel("trireme::apply_rotary", {x}, {y});
    by_dtype(x, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::apply_rotary(x.size(0), heads,
                              kernels::RotarySizes{x.size(1) / heads, 2 * cosine.size(1)},
                              (rows.empty() ? pass.micro_batch.positions : rows).data(),
                              read<T>(cosine), read<T>(sine), direction, data, write<T>(y));
    });
    return y.to(input.scalar_type());
}

struct RotaryFunction : torch::autograd::Function<RotaryFunction> {
    static Variable forward(AutogradContext* context, Variable const& x, std::int64_t heads,
                            RotaryTable const* table, Pass const* pass) {
        context->saved_data["heads"] = heads;
        remember(context, "table", *table);
        remember(context, "pass", *pass);
        return rotate(x, heads, *table, *pass, 1);
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        at::Tensor const dx = rotate(gradients[0], context->saved_data["heads"].toInt(),
                                     recall<RotaryTable const>(context, "table"),
                                     recall<Pass const>(context, "pass"), -1);
        return {dx, {}, {}, {}};
    }
};

/// Heads of x[T, N] and what they become.
template <typename T>
kernels::fused::Turned<T> heads_of(at::Tensor const& x, at::Tensor const& y, std::int64_t size) {
    return {x.size(1) / size, fused::numbers<T>(x), fused::numbers<T>(y), x.stride(0), y.stride(0)};
}

/// Turns queries and keys, and copies values where there are three of `x`, in one launch. Rows are
/// dense; what is written to may be what is read.
void turn(variable_list const& x, variable_list const& y, std::int64_t size,
          RotaryTable const& table, Pass const& pass, int direction) {
    at::Tensor const ids = on_device_of(pass, table_rows_of(table, pass));
    // Bytes are counted by what is read: one row of the table for each token.
    std::int64_t const rows = x[0].size(0);
    at::Tensor const row = table.cosine.narrow(0, 0, std::min(rows, table.cosine.size(0)));
    variable_list read = x;
    read.insert(read.end(), {ids, row, row});
    fused::run("trireme::rotary", x[0], {read, y}, [&]<typename T>(T) {
        using S = fused::Sum<T>;
        return kernels::fused::Rotary<T>{rows,
                                         size,
                                         2 * table.cosine.size(1),
                                         fused::numbers<std::int64_t>(ids),
                                         fused::numbers<S>(table.cosine),
                                         fused::numbers<S>(table.sine),
                                         direction,
                                         heads_of<T>(x[0], y[0], size),
                                         heads_of<T>(x[1], y[1], size),
                                         x.size() == 3 ? heads_of<T>(x[2], y[2], size)
                                                       : kernels::fused::Turned<T>{}};
    });
}

/// Heads of `size` numbers, and what they turn by; both outlive the graph.
struct Turning {
    std::int64_t size;
    RotaryTable const& table;
    Pass const& pass;
};

/// Turns queries and keys where they lie. Values, if any, pass through it, so that the gradients of
/// all three lie side by side, as their layers' products take them.
struct TurnFunction : torch::autograd::Function<TurnFunction> {
    static variable_list forward(AutogradContext* context, Variable const& queries,
                                 Variable const& keys, std::optional<Variable> const& values,
                                 Turning const& by) {
        context->saved_data["size"] = by.size;
        remember(context, "table", by.table);
        remember(context, "pass", by.pass);
        at::AutoDispatchBelowADInplaceOrView const no_graph;
        variable_list x{parallel::dense_rows(queries).alias(), parallel::dense_rows(keys).alias()};
        turn(x, x, by.size, by.table, by.pass, 1);
        if (values) x.push_back(values->alias());
        return x;
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        variable_list dy, dx;
        std::vector<std::int64_t> widths;
        for (auto const& gradient : gradients) {
            dy.push_back(parallel::dense_rows(gradient));
            widths.push_back(gradient.size(1));
        }
        if (dy.size() == 3)
            dx = parallel::columns_of(
                dy[0].new_empty({dy[0].size(0), widths[0] + widths[1] + widths[2]}), widths);
        else
            for (auto const& each : dy) dx.push_back(each.new_empty(each.sizes()));
        turn(dy, dx, context->saved_data["size"].toInt(),
             recall<RotaryTable const>(context, "table"), recall<Pass const>(context, "pass"), -1);
        dx.resize(4);
        return dx;
    }
};

/// Angles of positions 0 to `positions` - 1, [positions, pairs].
at::Tensor angles(std::int64_t positions, at::Tensor const& frequencies) {
    return at::outer(at::arange(positions, at::kLong).to(frequencies.scalar_type()), frequencies);
}

} // namespace

AttentionInputs apply_rotary(AttentionInputs const& x, AttentionShape const& shape,
                             RotaryTable const& table, Pass const& pass, bool together) {
    if (!parallel::composed(x.queries))
        return {RotaryFunction::apply(x.queries, shape.heads, &table, &pass),
                RotaryFunction::apply(x.keys, shape.kv_heads, &table, &pass), x.values};
    auto const turned =
        TurnFunction::apply(x.queries, x.keys, together ? std::optional(x.values) : std::nullopt,
                            Turning{shape.head_size, table, pass});
    return {turned[0], turned[1], together ? turned[2] : x.values};
}

RotaryTable rotary_table(Config const& config, at::ScalarType dtype, at::Device device,
                         LayerRotary which) {
    if (config.positions != Positions::rotary) return {};
    std::int64_t const short_context = std::min(config.short_context(), config.max_positions);
    auto const angles_of = [&](std::int64_t positions, bool of_long) {
        return angles(positions, rotary_frequencies(config, dtype, which, of_long));
    };
    at::Tensor const angle =
        short_context > 0
            ? at::cat({angles_of(short_context, false), angles_of(config.max_positions, true)})
            : angles_of(config.max_positions, false);
    // Computed on the host wherever it is used: the same bits. A dry run keeps it there.
    at::Device const place = device.is_meta() && !parallel::dry_gpu ? at::Device(at::kCPU) : device;
    double const amplitude = which == LayerRotary::local ? 1.0 : config.rotary.amplitude;
    auto const table = [&](at::Tensor const& x) {
        return (amplitude == 1 ? x : x * amplitude).to(place);
    };
    return {table(angle.cos()), table(angle.sin()), short_context};
}

} // namespace trireme::framework::model
