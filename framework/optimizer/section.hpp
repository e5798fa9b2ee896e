// Section `optimizer` of a run's configuration.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework::optimizer {

/// Names the way of the learning rate after the warm-up; wsd: warm-up, stable, decay; range_test:
/// it rises by the same factor every step.
enum class RateSchedule : std::uint8_t { constant, linear, cosine, wsd, range_test };
/// Names in configurations and messages, in the order of the values.
constexpr auto names_of(RateSchedule) {
    return std::array{"constant", "linear", "cosine", "wsd", "range_test"};
}
struct Section {
    double learning_rate = 5e-5;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double weight_decay = 0.01;                   ///< decoupled; not on biases and norms
    double clip = 1.0;                            ///< global gradient norm; 0: off
    RateSchedule schedule = RateSchedule::linear; ///< to final_fraction * learning_rate
    double warmup = 0.1;                          ///< fraction of all steps, linear from 0
    double cooldown = 0.1; ///< wsd: fraction of all steps, the last ones, in which the rate falls
    double final_fraction = 0.0;
    /// patterns of the names of parameters that stay as they are; * is any text, ? any letter
    std::vector<std::string> freeze = {};
    /// factor of the learning rate from each layer to the one below it: head, last layer, ...,
    /// first layer, embeddings (rate_scale in layer_decay.hpp); 1: one rate for all
    double layer_decay = 1.0;
    /// decay of the exponential moving average of the weights, which is kept beside them; 0: none
    double ema_decay = 0.0;
};

} // namespace trireme::framework::optimizer
