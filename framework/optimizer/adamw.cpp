#include "framework/optimizer/adamw.hpp"

#include <cmath>

#include "framework/kernels/adamw.hpp"

namespace trireme::framework {

namespace {

template <typename T>
void update(parallel::Unit& unit, parallel::Stretch const& s, kernels::AdamWStep const& step) {
    auto const at = [&](at::Tensor const& kept) { return kept.mutable_data_ptr<T>() + (s.at - unit.begin); };
    kernels::adamw<T>(s.count, step, at(unit.master), at(unit.kept_gradient()), at(unit.moment1), at(unit.moment2));
}

} // namespace

AdamW::AdamW(parallel::ParameterStore& store, OptimizerSection const& section) : store_(store), section_(section) {
    store_.allocate_moments();
}

void AdamW::step(double learning_rate, double gradient_scale, std::int64_t updates) {
    auto const t = static_cast<double>(updates + 1);
    for (auto& unit : store_.units()) {
        if (!unit->moment1.defined()) continue;
        for (auto const& stretch : parallel::stretches(*unit, unit->begin, unit->end)) {
            auto const& spec = stretch.parameter->spec();
            if (!spec.trainable) continue;
            kernels::AdamWStep const step{learning_rate * spec.learning_rate_scale,
                                          section_.beta1,
                                          section_.beta2,
                                          section_.epsilon,
                                          spec.decay ? section_.weight_decay : 0.0,
                                          1 - std::pow(section_.beta1, t),
                                          1 - std::pow(section_.beta2, t),
                                          gradient_scale};
            if (store_.master_dtype() == at::kDouble)
                update<double>(*unit, stretch, step);
            else
                update<float>(*unit, stretch, step);
        }
    }
}

} // namespace trireme::framework
