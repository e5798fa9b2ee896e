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

/// Is a label of several predicted? It is from a probability on, that of the least logit: one half
/// unless the user asks for another.
inline bool is_label_found(double logit, double least_logit = 0) {
    return logit >= least_logit;
}
/// Has a sample the label of this target? Targets are 0 or 1, or shares of both.
inline bool is_label_there(double target) {
    return target >= 0.5;
}

} // namespace trireme::framework::model
