#include "framework/optimizer/adamw.hpp"

#include <cmath>

#include "framework/kernels/adamw.hpp"

namespace trireme::framework {

namespace {

template <typename T>
void update(parallel::Unit& unit, std::size_t i, kernels::AdamWStep const& step) {
    auto const at = [&](at::Tensor const& flat) { return flat.mutable_data_ptr<T>() + unit.layout.offset[i]; };
    kernels::adamw<T>(unit.layout.count[i], step, at(unit.master), at(unit.total[0]), at(unit.moment1),
                      at(unit.moment2));
}

} // namespace

AdamW::AdamW(parallel::ParameterStore& store, OptimizerSection const& section) : store_(store), section_(section) {
    store_.allocate_moments();
}

void AdamW::step(double learning_rate, double gradient_scale, std::int64_t updates) {
    auto const t = static_cast<double>(updates + 1);
    for (auto& unit : store_.units()) {
        for (std::size_t i = 0; i < unit.parameters.size(); ++i) {
            auto const& spec = unit.parameters[i]->spec();
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
                update<double>(unit, i, step);
            else
                update<float>(unit, i, step);
        }
    }
}

} // namespace trireme::framework
