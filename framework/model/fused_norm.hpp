// The node of a norm on the path of a GPU, with the residual addition and the dropout before it.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "framework/model/dropout.hpp"
#include "framework/model/fused.hpp"
#include "framework/model/ops.hpp"
#include "parallel/graph_address.hpp"

namespace trireme::framework::model {

/// Adds up what groups of rows found, [groups, D] each, into the gradient of a parameter.
inline void deliver_sums(parallel::ParameterUse const& use, at::Tensor const& groups) {
    parallel::now_or_later([use, groups] {
        auto const [sum, fresh] = use.accumulate();
        fused::run_on_sums("trireme::column_sums", sum,
                           {{groups, fresh ? at::Tensor() : sum}, {sum}}, [&]<typename S>(S) {
                               return kernels::fused::ColumnSums<S>{groups.size(0), groups.size(1),
                                                                    fused::numbers<S>(groups),
                                                                    fresh, fused::numbers<S>(sum)};
                           });
    });
}

/// Residual addition, dropout and norm as one node on the path of a GPU. Results: the sum if
/// `keeps_sum`, and the norm.
struct FusedNorm : torch::autograd::Function<FusedNorm> {
    using AutogradContext = torch::autograd::AutogradContext;
    using Variable = torch::autograd::Variable;
    using variable_list = torch::autograd::variable_list;
    using ParameterUse = parallel::ParameterUse;

    /// Says what is dropped; the tensors are ids of rows.
    struct Mask {
        kernels::DropoutKey key;
        at::Tensor samples, positions;
        kernels::fused::Dropout dropout() const {
            return samples.defined() ? fused::dropout_of(key, samples, positions)
                                     : kernels::fused::Dropout{};
        }
    };

    static variable_list forward(AutogradContext* context, Variable const& input,
                                 std::optional<at::Tensor> const& part, NormUse const* norm,
                                 bool keeps_sum, Mask const& mask) {
        bool const centered = norm->kind != Norm::rms;
        at::Tensor const x = input.contiguous(), more = part ? part->contiguous() : at::Tensor(),
                         weight = norm->weight.value(),
                         bias = norm->bias ? norm->bias.value() : at::Tensor(),
                         h = part ? at::empty_like(x) : at::Tensor(), y = at::empty_like(x),
                         inverse = at::empty({x.size(0)}, fused::sums_of(x)),
                         mean = centered ? at::empty_like(inverse) : at::Tensor();
        fused::run("trireme::norm", x, {{x, more, weight, bias}, {h, y, mean, inverse}},
                   [&]<typename T>(T) {
                       using S = fused::Sum<T>;
                       return kernels::fused::NormForward<T>{x.size(0),
                                                             x.size(1),
                                                             fused::numbers<T>(x),
                                                             fused::numbers<T>(more),
                                                             mask.dropout(),
                                                             fused::numbers<T>(weight),
                                                             fused::numbers<T>(bias),
                                                             norm->options.epsilon,
                                                             norm->options.plus_one,
                                                             fused::numbers<T>(h),
                                                             fused::numbers<T>(y),
                                                             fused::numbers<S>(mean),
                                                             fused::numbers<S>(inverse)};
                   });
        parallel::remember(context, "weight", norm->weight);
        parallel::remember(context, "bias", norm->bias);
        keep(context, *norm, part.has_value(), keeps_sum, mask);
        at::Tensor const sum = part ? h : input;
        context->save_for_backward({sum, mean, inverse});
        return keeps_sum ? variable_list{sum, y} : variable_list{y};
    }

    static variable_list backward(AutogradContext* context, variable_list const& gradients) {
        Back back(context);
        back.dy = gradients.back().contiguous();
        if (gradients.size() > 1 && gradients[0].defined()) back.dh = gradients[0].contiguous();
        back.run();
        bool const added = context->saved_data["added"].toBool();
        at::Tensor const to_part = back.dpart.defined() ? back.dpart : back.dx;
        return {back.dx, added ? to_part : at::Tensor(), {}, {}, {}};
    }

  private:
    static void keep(AutogradContext* context, NormUse const& norm, bool added, bool keeps_sum,
                     Mask const& mask) {
        context->set_materialize_grads(false); // of a sum that goes on nowhere
        context->saved_data["plus_one"] = norm.options.plus_one;
        context->saved_data["added"] = added;
        context->saved_data["keeps_sum"] = keeps_sum;
        context->saved_data["key"] = static_cast<std::int64_t>(mask.key.key);
        context->saved_data["probability"] = mask.key.probability;
        if (!mask.samples.defined()) return;
        context->saved_data["samples"] = mask.samples;
        context->saved_data["positions"] = mask.positions;
    }

    struct Back {
        explicit Back(AutogradContext* context)
            : weight(parallel::recall<ParameterUse const>(context, "weight")),
              bias(parallel::recall<ParameterUse const>(context, "bias")),
              plus_one(context->saved_data["plus_one"].toBool()) {
            auto const saved = context->get_saved_variables();
            h = saved[0].contiguous(), mean = saved[1], inverse = saved[2];
            mask.key = {static_cast<std::uint64_t>(context->saved_data["key"].toInt()),
                        context->saved_data["probability"].toDouble()};
            if (context->saved_data.count("samples") == 0) return;
            mask.samples = context->saved_data["samples"].toTensor();
            mask.positions = context->saved_data["positions"].toTensor();
        }

        void run() {
            std::int64_t const groups = kernels::fused::NormBackward<float>::groups(h.size(0));
            auto const sums = [&](ParameterUse const& use) {
                return use && use.trainable() ? at::empty({groups, h.size(1)}, fused::sums_of(h))
                                              : at::Tensor();
            };
            at::Tensor const w = weight.value(), dweight = sums(weight), dbias = sums(bias);
            dx = at::empty_like(h);
            if (mask.samples.defined()) dpart = at::empty_like(h);
            fused::run("trireme::norm_backward", h,
                       {{dy, dh, h, w, mean, inverse}, {dx, dpart, dweight, dbias}},
                       [&]<typename T>(T) { return program<T>(w, dweight, dbias); });
            if (dweight.defined()) deliver_sums(weight, dweight);
            if (dbias.defined()) deliver_sums(bias, dbias);
        }

        template <typename T>
        kernels::fused::NormBackward<T> program(at::Tensor const& w, at::Tensor const& dweight,
                                                at::Tensor const& dbias) const {
            using S = fused::Sum<T>;
            return {h.size(0),
                    h.size(1),
                    fused::numbers<T>(dy),
                    fused::numbers<T>(dh),
                    fused::numbers<T>(h),
                    fused::numbers<T>(w),
                    plus_one,
                    fused::numbers<S>(mean),
                    fused::numbers<S>(inverse),
                    mask.dropout(),
                    fused::numbers<T>(dx),
                    fused::numbers<T>(dpart),
                    fused::numbers<S>(dweight),
                    fused::numbers<S>(dbias)};
        }

        ParameterUse const &weight, &bias;
        bool plus_one;
        at::Tensor h, mean, inverse;
        Mask mask;
        at::Tensor dy, dh, dx, dpart; ///< undefined ones: no gradient from there, none of its own
    };
};

inline FusedNorm::Mask mask_of(DropoutUse const& use, std::int64_t rows) {
    if (!drops(use.probability, use.pass)) return {};
    Rows const own = rows_of(use, rows);
    return {key_of(use.probability, use.pass, use.site), own.sample_ids, own.position_ids};
}

} // namespace trireme::framework::model
