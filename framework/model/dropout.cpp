#include "framework/model/dropout.hpp"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "framework/model/dispatch.hpp"
#include "framework/model/fused.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"
#include "parallel/linear.hpp"

namespace trireme::framework::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

Rows rows_of_pass(Pass const& pass) {
    Rows rows{{}, pass.micro_batch.positions, pass.ids.samples, pass.ids.positions};
    for (std::size_t i = 0; i < pass.micro_batch.sample_ids.size(); ++i)
        rows.samples.insert(
            rows.samples.end(),
            static_cast<std::size_t>(pass.micro_batch.offsets[i + 1] - pass.micro_batch.offsets[i]),
            pass.micro_batch.sample_ids[i]);
    return rows;
}

Rows chosen(Rows const& all, std::vector<std::int64_t> const& tokens) {
    Rows rows;
    if (parallel::composed(all.sample_ids)) {
        at::Tensor const index = on_device(tokens, all.sample_ids.device());
        rows.sample_ids = parallel::pick_rows(all.sample_ids, index);
        rows.position_ids = parallel::pick_rows(all.position_ids, index);
    }
    for (std::int64_t const t : tokens) {
        rows.samples.push_back(all.samples[static_cast<std::size_t>(t)]);
        rows.positions.push_back(all.positions[static_cast<std::size_t>(t)]);
    }
    return rows;
}

at::Tensor drop_fused(kernels::DropoutKey const& key, Rows const& rows, at::Tensor const& input,
                      at::Tensor const& residual) {
    at::Tensor const x = input.contiguous(),
                     more = residual.defined() ? residual.contiguous() : residual,
                     y = at::empty_like(x);
    fused::run("trireme::drop_rows", x, {{x, more}, {y}}, [&]<typename T>(T) {
        return kernels::fused::DropRows<T>{
            x.size(0),
            x.size(1),
            fused::numbers<T>(x),
            fused::numbers<T>(more),
            fused::dropout_of(key, rows.sample_ids, rows.position_ids),
            fused::numbers<T>(y)};
    });
    return y;
}

/// residual + x dropped; the residual may be undefined.
at::Tensor drop_rows(kernels::DropoutKey const& key, Rows const& rows, at::Tensor const& input,
                     at::Tensor const& residual = {}) {
    if (parallel::composed(input)) return drop_fused(key, rows, input, residual);
    bool const adds = residual.defined();
    at::Tensor const x = for_kernel(input), more = adds ? for_kernel(residual) : residual,
                     y = at::empty_like(x);
    parallel::note_kernel("trireme::dropout_rows", adds ? variable_list{x, more} : variable_list{x},
                          {y});
    by_dtype(x, [&](auto* data) {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(data)>>;
        kernels::dropout_rows<T>(key, rows.samples.data(), rows.positions.data(), x.size(0),
                                 x.size(1), data, adds ? read<T>(more) : nullptr, write<T>(y));
    });
    return y.to(input.scalar_type());
}

/// Drops elements of x, and adds it to the residual where there is one.
struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
    static Variable forward(AutogradContext* context, Variable const& x,
                            std::optional<at::Tensor> const& residual,
                            kernels::DropoutKey const& key, std::shared_ptr<Rows const> rows) {
        at::Tensor const y = drop_rows(key, *rows, x, residual.value_or(at::Tensor()));
        context->saved_data["key"] = static_cast<std::int64_t>(key.key);
        context->saved_data["probability"] = key.probability;
        context->saved_data["added"] = residual.has_value();
        context->saved_data["rows"] =
            c10::IValue::make_capsule(c10::make_intrusive<KeepAlive>(std::move(rows)));
        return y;
    }
    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        kernels::DropoutKey const key{
            static_cast<std::uint64_t>(context->saved_data["key"].toInt()),
            context->saved_data["probability"].toDouble()};
        auto const& rows = static_cast<KeepAlive&>(*context->saved_data["rows"].toCapsule()).rows;
        bool const added = context->saved_data["added"].toBool();
        return {drop_rows(key, *rows, gradients[0]), added ? gradients[0] : Variable(), {}, {}};
    }

  private:
    struct KeepAlive : torch::CustomClassHolder {
        explicit KeepAlive(std::shared_ptr<Rows const> r) : rows(std::move(r)) {}
        std::shared_ptr<Rows const> rows;
    };
};

} // namespace

Rows rows_of(DropoutUse const& use, std::int64_t count) {
    Rows all = rows_of_pass(use.pass);
    if (use.tokens) return chosen(all, *use.tokens);
    std::int64_t const first = use.part * count, last = first + count;
    return {{all.samples.begin() + first, all.samples.begin() + last},
            {all.positions.begin() + first, all.positions.begin() + last},
            all.sample_ids.narrow(0, first, count),
            all.position_ids.narrow(0, first, count)};
}

at::Tensor dropout(at::Tensor const& x, DropoutUse const& use) {
    if (!drops(use.probability, use.pass)) return x;
    return DropoutFunction::apply(x, std::nullopt, key_of(use.probability, use.pass, use.site),
                                  std::make_shared<Rows const>(rows_of(use, x.size(0))));
}

at::Tensor add_dropped(at::Tensor const& x, at::Tensor const& part, DropoutUse const& use) {
    if (!drops(use.probability, use.pass)) return x + part;
    return DropoutFunction::apply(part, x, key_of(use.probability, use.pass, use.site),
                                  std::make_shared<Rows const>(rows_of(use, x.size(0))));
}

} // namespace trireme::framework::model
