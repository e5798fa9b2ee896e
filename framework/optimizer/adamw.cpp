#include "framework/optimizer/adamw.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "framework/kernels/adamw.hpp"
#include "framework/model/fused.hpp"
#include "framework/optimizer/layer_decay.hpp"
#include "framework/optimizer/row_marks.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"

namespace trireme::framework::optimizer {

namespace {

/// Elements that lie together in each of these, and how they are updated.
struct Part {
    at::Tensor master, gradient, moment1, moment2;
    at::Tensor copy;  ///< of the master in bfloat16; undefined: none
    at::Tensor scale; ///< of gradients
    kernels::AdamWStep step;
    std::optional<kernels::TouchedRows> rows = {}; ///< those that have a gradient, if it is known
};

/// One update by the kernel of the CPU.
void update_on_host(Part const& part) {
    auto const& [master, gradient, moment1, moment2, copy, scale, step, rows] = part;
    parallel::note_kernel("trireme::adamw", {master, gradient, moment1, moment2, scale},
                          {master, moment1, moment2});
    if (gradient.is_meta()) return; // shapes have nothing to update
    auto const run = [&]<typename T>(T) {
        auto *const weights = part.master.mutable_data_ptr<T>(),
                    *const m = part.moment1.mutable_data_ptr<T>(),
                    *const v = part.moment2.mutable_data_ptr<T>();
        auto const* const gradients = part.gradient.const_data_ptr<T>();
        if (part.rows)
            kernels::adamw<T>(*part.rows, part.step, weights, gradients, m, v);
        else
            kernels::adamw<T>(part.master.numel(), part.step, weights, gradients, m, v);
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

template <typename S>
kernels::fused::Updated<S> updated(Part const& part) {
    namespace fused = model::fused;
    auto const& step = part.step;
    return {fused::numbers<S>(part.master),
            fused::numbers<S>(part.gradient),
            fused::numbers<S>(part.moment1),
            fused::numbers<S>(part.moment2),
            fused::numbers<fused::BFloat16>(part.copy),
            part.master.numel(),
            0,
            static_cast<S>(1 - step.learning_rate * step.weight_decay),
            static_cast<S>(step.learning_rate / step.correction1)};
}

template <typename S>
kernels::fused::AdamWStretches<S> program_of(at::ArrayRef<Part> parts) {
    auto const& step = parts.front().step;
    kernels::fused::AdamWStretches<S> program;
    program.scale = step.gradient_scale;
    program.beta1 = static_cast<S>(step.beta1), program.beta2 = static_cast<S>(step.beta2);
    program.rest1 = static_cast<S>(1 - step.beta1), program.rest2 = static_cast<S>(1 - step.beta2);
    program.root = static_cast<S>(1 / std::sqrt(step.correction2));
    program.epsilon = static_cast<S>(step.epsilon);
    for (auto const& part : parts) program.add(updated<S>(part));
    return program;
}

/// One launch for as many parts as it takes, on the path of a GPU.
void update_together(std::vector<Part> const& parts) {
    constexpr std::size_t kMost = kernels::fused::AdamWStretches<float>::kMost;
    for (std::size_t first = 0; first < parts.size(); first += kMost) {
        auto const some =
            at::ArrayRef<Part>(parts).slice(first, std::min(kMost, parts.size() - first));
        std::vector<at::Tensor> read{some.front().scale}, written;
        for (auto const& p : some) {
            read.insert(read.end(), {p.master, p.gradient, p.moment1, p.moment2});
            written.insert(written.end(), {p.master, p.moment1, p.moment2, p.copy});
        }
        model::fused::run_on_sums("trireme::adamw", some.front().master, {read, written},
                                  [&]<typename S>(S) { return program_of<S>(some); });
    }
}

/// Updates a state that lies elsewhere than the gradient: it comes and goes through buffers beside
/// the gradient. On a GPU this happens in the order of its stream, so the host sees the state once
/// it has waited for something queued after this.
void update_staged(Part const& part) {
    auto const& [master, gradient, moment1, moment2, copy, scale, step, rows] = part;
    std::int64_t const chunk = std::min<std::int64_t>(parallel::budgets.staged, master.numel());
    at::Tensor const staging = at::empty({3, chunk}, gradient.options());
    for (std::int64_t at = 0; at < master.numel(); at += chunk) {
        std::int64_t const n = std::min(chunk, master.numel() - at);
        at::Tensor const state[] = {master.narrow(0, at, n), moment1.narrow(0, at, n),
                                    moment2.narrow(0, at, n)};
        at::Tensor const staged[] = {staging[0].narrow(0, 0, n), staging[1].narrow(0, 0, n),
                                     staging[2].narrow(0, 0, n)};
        for (std::size_t i = 0; i < 3; ++i) staged[i].copy_(state[i], true);
        Part const here{staged[0], gradient.narrow(0, at, n), staged[1], staged[2], {}, scale,
                        step};
        parallel::composed(gradient) ? update_together({here}) : update_on_host(here);
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
    std::vector<Part> together;
    for (auto& unit : store_.units()) {
        if (!unit->moment1.defined()) continue;
        double const rate = learning_rate * rate_scale(section_, unit->name, layers_);
        bool const composed = parallel::composed(unit->moment1),
                   copies = composed && !offload_ && unit->has_own_copy();
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
            Part part{kept(unit->master),
                      kept(unit->kept_gradient()),
                      kept(unit->moment1),
                      kept(unit->moment2),
                      {},
                      gradient_scale,
                      step,
                      touched_rows(stretch)};
            if (copies) part.copy = unit->compute.narrow(0, stretch.at, stretch.count);
            if (offload_)
                update_staged(part);
            else if (composed)
                together.push_back(std::move(part));
            else
                update_on_host(part);
        }
        unit->copied = copies;
    }
    update_together(together);
    for (auto& unit : store_.units())
        if (unit->average.defined()) follow(*unit, gradient_scale, updates);
}

} // namespace trireme::framework::optimizer
