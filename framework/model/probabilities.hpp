// Probabilities of logits in float64, as predictions and metrics state them. No torch.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace trireme::framework::model {

/// Probabilities of classes, which sum to 1 within rounding. At least one logit.
inline std::vector<double> softmax(std::span<float const> logits) {
    std::vector<double> shares(logits.begin(), logits.end());
    double const most = *std::ranges::max_element(shares);
    double sum = 0;
    for (auto& x : shares) sum += x = std::exp(x - most);
    for (auto& x : shares) x /= sum;
    return shares;
}

/// Probability of a label of its own.
inline double sigmoid(double logit) {
    double const small = std::exp(-std::abs(logit));
    return (logit >= 0 ? 1 : small) / (1 + small);
}

/// The logit of a probability of one half, from which on a label is predicted.
inline constexpr float kLabelFound = 0;

} // namespace trireme::framework::model
