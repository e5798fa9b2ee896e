// A Llama of a chosen size, for tests that weigh it.
#pragma once
#include "framework/model/transformer_stage.hpp"
#include "parallel/parameter.hpp"

namespace trireme::test {

inline framework::model::Config small_llama(std::int64_t layers, std::int64_t hidden,
                                            std::int64_t vocabulary) {
    framework::model::Config c;
    c.hidden = hidden;
    c.layers = layers;
    c.heads = c.kv_heads = hidden / 32;
    c.head_size = 32;
    c.feed_forward = 4 * hidden;
    c.vocabulary = vocabulary;
    c.max_positions = 512;
    return c;
}

/// Elements of all its parameters.
inline double parameters_of(framework::model::Config const& model) {
    double psi = 0;
    for (auto const& spec : framework::model::parameter_specs(model))
        psi += static_cast<double>(parallel::Parameter(spec).numel());
    return psi;
}

} // namespace trireme::test
