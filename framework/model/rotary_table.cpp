// Angles of rotary positions, as transformers computes them.
#include <ATen/ATen.h>

#include <numbers>

#include "framework/model/ops.hpp"

namespace trireme::framework::model {

namespace {

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

/// Radians per position of each pair, [S / 2].
at::Tensor rotary_frequencies(Config const& config, at::ScalarType dtype) {
    at::Tensor const exponent = at::arange(0, config.head_size, 2, at::kLong).to(dtype) /
                                static_cast<double>(config.head_size);
    at::Tensor const frequency = at::pow(config.rotary_base, exponent).reciprocal();
    switch (config.rotary.scaling) {
    case RotaryScaling::none: break;
    case RotaryScaling::linear: return frequency / config.rotary.factor;
    case RotaryScaling::llama3: return stretch_llama3(config.rotary, frequency);
    }
    return frequency;
}

} // namespace

RotaryTable rotary_table(Config const& config, at::ScalarType dtype, at::Device device) {
    if (config.positions != Positions::rotary) return {};
    at::Tensor const angle = at::outer(at::arange(config.max_positions, at::kLong).to(dtype),
                                       rotary_frequencies(config, dtype));
    // Computed on the host wherever it is used: the same bits. A dry run keeps it there.
    at::Device const place = device.is_meta() ? at::Device(at::kCPU) : device;
    return {angle.cos().to(place), angle.sin().to(place)};
}

} // namespace trireme::framework::model
