#include "framework/optimizer/adamw.hpp"

#include <algorithm>
#include <cmath>

#include "cluster/error.hpp"
#include "framework/kernels/adamw.hpp"
#include "framework/kernels/cuda/adamw.hpp"
#include "framework/optimizer/layer_decay.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::framework::optimizer {

namespace {

/// One update of elements that lie together in each of the four.
void update(at::Tensor const& master, at::Tensor const& gradient, at::Tensor const& moment1,
            at::Tensor const& moment2, kernels::AdamWStep const& step) {
    parallel::note_kernel("trireme::adamw", {master, gradient, moment1, moment2},
                          {master, moment1, moment2});
    if (gradient.is_meta()) return; // shapes have nothing to update
    auto const run = [&]<typename T>(T) {
        void* const stream = parallel::place_of(gradient).stream;
        if (stream || parallel::on_gpu(gradient)) {
            if (!kernels::adamw_on_device<T>(master.numel(), step, master.mutable_data_ptr<T>(),
                                             gradient.const_data_ptr<T>(),
                                             moment1.mutable_data_ptr<T>(),
                                             moment2.mutable_data_ptr<T>(), stream))
                throw cluster::JobError("the GPU refused the update of AdamW");
            return;
        }
        kernels::adamw<T>(master.numel(), step, master.mutable_data_ptr<T>(),
                          gradient.const_data_ptr<T>(), moment1.mutable_data_ptr<T>(),
                          moment2.mutable_data_ptr<T>());
    };
    master.scalar_type() == at::kDouble ? run(double{}) : run(float{});
}

/// Moves an average towards weights that lie beside it; not at all if the scale is NaN.
void move_average(at::Tensor const& average, at::Tensor const& weights, double decay,
                  at::Tensor const& gradient_scale) {
    parallel::note_kernel("trireme::moving_average", {average, weights}, {average});
    if (average.is_meta()) return;
    if (!average.is_cpu() || parallel::on_gpu(average)) {
        at::Tensor const share = at::where(gradient_scale.isnan(), 0.0, 1 - decay);
        average.lerp_(weights, share.to(average.scalar_type()));
        return;
    }
    auto const run = [&]<typename T>(T) {
        kernels::moving_average<T>(average.numel(), decay, gradient_scale.const_data_ptr<double>(),
                                   weights.const_data_ptr<T>(), average.mutable_data_ptr<T>());
    };
    average.scalar_type() == at::kDouble ? run(double{}) : run(float{});
}

/// Updates a state that lies elsewhere than the gradient: it comes and goes through buffers beside
/// the gradient. On a GPU this happens in the order of its stream, so the host sees the state once
/// it has waited for something queued after this.
void update_staged(at::Tensor const& master, at::Tensor const& gradient, at::Tensor const& moment1,
                   at::Tensor const& moment2, kernels::AdamWStep const& step) {
    std::int64_t const chunk = std::min<std::int64_t>(parallel::budgets.staged, master.numel());
    at::Tensor const staging = at::empty({3, chunk}, gradient.options());
    for (std::int64_t at = 0; at < master.numel(); at += chunk) {
        std::int64_t const n = std::min(chunk, master.numel() - at);
        at::Tensor const state[] = {master.narrow(0, at, n), moment1.narrow(0, at, n),
                                    moment2.narrow(0, at, n)};
        at::Tensor const staged[] = {staging[0].narrow(0, 0, n), staging[1].narrow(0, 0, n),
                                     staging[2].narrow(0, 0, n)};
        for (std::size_t i = 0; i < 3; ++i) staged[i].copy_(state[i], true);
        update(staged[0], gradient.narrow(0, at, n), staged[1], staged[2], step);
        for (std::size_t i = 0; i < 3; ++i) state[i].copy_(staged[i], true);
    }
}

} // namespace

AdamW::AdamW(parallel::ParameterStore& store, Section const& section, bool offload,
             std::int64_t layers)
    : store_(store), section_(section), offload_(offload), layers_(layers) {
    store_.allocate_moments();
    if (section.ema_decay > 0) store_.allocate_average();
}

void AdamW::start_average() {
    for (auto& unit : store_.units())
        if (unit->average.defined()) unit->average.copy_(unit->master);
}

void AdamW::follow(parallel::Unit const& unit, at::Tensor const& gradient_scale,
                   std::int64_t updates) const {
    double const decay = updates > 0 ? section_.ema_decay : 0.0;
    bool const beside = unit.average.device() == gradient_scale.device() || unit.average.is_meta();
    if (beside && !store_.options().host_state)
        return move_average(unit.average, unit.master, decay, gradient_scale);
    std::int64_t const all = unit.master.numel(),
                       chunk = std::min<std::int64_t>(parallel::budgets.staged, all);
    at::Tensor const staging = at::empty(
        {2, chunk}, unit.master.options().pinned_memory(false).device(gradient_scale.device()));
    for (std::int64_t at = 0; at < all; at += chunk) {
        std::int64_t const n = std::min(chunk, all - at);
        at::Tensor const average = staging[0].narrow(0, 0, n), weights = staging[1].narrow(0, 0, n);
        average.copy_(unit.average.narrow(0, at, n), true);
        weights.copy_(unit.master.narrow(0, at, n), true);
        move_average(average, weights, decay, gradient_scale);
        unit.average.narrow(0, at, n).copy_(average, true);
    }
}

void AdamW::step(double learning_rate, at::Tensor const& gradient_scale, std::int64_t updates) {
    auto const t = static_cast<double>(updates + 1);
    for (auto& unit : store_.units()) {
        if (!unit->moment1.defined()) continue;
        double const rate = learning_rate * rate_scale(section_, unit->name, layers_);
        for (auto const& stretch : parallel::stretches(*unit, unit->begin, unit->end)) {
            auto const& spec = stretch.parameter->spec();
            if (!spec.trainable) continue;
            kernels::AdamWStep const step{rate,
                                          section_.beta1,
                                          section_.beta2,
                                          section_.epsilon,
                                          spec.decay ? section_.weight_decay : 0.0,
                                          1 - std::pow(section_.beta1, t),
                                          1 - std::pow(section_.beta2, t),
                                          gradient_scale.const_data_ptr<double>()};
            auto const kept = [&](at::Tensor const& range) {
                return range.narrow(0, stretch.at - unit->begin, stretch.count);
            };
            (offload_ ? update_staged : update)(kept(unit->master), kept(unit->kept_gradient()),
                                                kept(unit->moment1), kept(unit->moment2), step);
        }
        if (unit->average.defined()) follow(*unit, gradient_scale, updates);
    }
}

} // namespace trireme::framework::optimizer
