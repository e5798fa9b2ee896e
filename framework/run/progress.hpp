// Says where a run is: the whole of its state besides weights and moments. There is no rank and no
// world size in it.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework::run {

/// Counts losses of steps: enough for their mean and variance.
struct LossSums {
    std::int64_t count = 0;
    double sum = 0, squares = 0;
    void add(double loss);
};

/// Keeps what evaluations have shown of overfitting so far (overfitting.hpp).
struct Gap {
    std::int64_t lowest_step = -1; ///< evaluation with the lowest loss; -1: there is none
    double lowest = 0, last = 0;   ///< losses of that evaluation and of the last one
    int rises = 0;                 ///< evaluations since then, in a row, each above the one before
    std::vector<double> losses = {}; ///< of samples at the lowest, those of losses_to_compare
    LossSums until = {}, since = {}; ///< training losses of the steps up to it, and after it
    bool overfits = false;           ///< as the last evaluation found
};

/// The loss on general text (guard.general_data).
struct General {
    std::string data = {};       ///< fingerprint of the text; empty: not measured
    double before = 0, last = 0; ///< loss of a token before training, and at the last evaluation
    double forgotten() const { return last - before; }
};

struct Progress {
    std::int64_t step = 0;   ///< optimizer steps done, those left out included
    std::int64_t cursor = 0; ///< samples drawn from the endless order
    double best = 0;         ///< best value of evaluation.metric so far
    std::int64_t best_step = -1;
    std::int64_t evaluated_step = -1; ///< last step that was evaluated
    int evaluations_without_improvement = 0;
    bool finished = false;
    /// cursors of the steps whose samples are not trained on (StepGuard)
    std::vector<std::int64_t> left_out;
    /// losses of the last kRecentLosses good steps, oldest first
    std::vector<double> recent_losses;
    Gap gap;
    General general;
    /// SHA-256 of the base model's weights (train.base_divergence); empty: there is none
    std::string base = {};

    /// samples and tokens trained on so far, by source of a mixture; empty: there is none
    std::vector<std::int64_t> source_samples, source_tokens;

    static constexpr std::size_t kRecentLosses = 50;

    /// Returns the updates made, which Adam's bias correction counts: steps without those left out.
    std::int64_t updates() const;
    bool leaves_out(std::int64_t cursor_of_step) const;

    nlohmann::json to_json() const;
    /// Throws InputError "progress.FIELD: VALUE: legal: KIND".
    static Progress from_json(nlohmann::json const& json);
};

} // namespace trireme::framework::run
