#include "framework/parity/hypotheses.hpp"

#include <algorithm>
#include <cmath>

namespace trireme::framework::parity {

double first_loss(Case const& c) {
    return c.specimen.trace.losses.at(0);
}

bool near(double a, double b, double tolerance) {
    return std::abs(a - b) <= tolerance * std::max(1e-30, std::abs(b));
}

/// How closely a computed variant must meet a layout's numbers.
double closeness(Case const& c) {
    switch (c.lab.problem().numerics.compute) {
    case parallelize::Compute::fp64: return 1e-8;
    case parallelize::Compute::fp32: return 1e-5;
    case parallelize::Compute::bf16: return 1e-2;
    }
    return 0;
}

std::vector<Hypothesis> const& hypotheses() {
    static std::vector<Hypothesis> const all{micro_batch_weights,
                                             tied_use_missing,
                                             copies_not_summed,
                                             norm_counts_copies,
                                             padding_counted,
                                             bias_on_every_rank,
                                             sequence_offset,
                                             samples_apart,
                                             loss_value,
                                             forward_pass,
                                             backward_pass,
                                             feature_apart,
                                             dropout_masks,
                                             stale_weights,
                                             left_over,
                                             optimizer_state,
                                             moments_lost,
                                             clipping,
                                             rate,
                                             decay,
                                             update,
                                             order_of_sums};
    return all;
}

std::vector<Hypothesis> const& hypotheses_of_carried() {
    static std::vector<Hypothesis> const some{left_over, moments_lost, clipping,
                                              rate,      decay,        update};
    return some;
}

} // namespace trireme::framework::parity
