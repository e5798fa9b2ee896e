// The whole of a parity run: reference, layouts, outcomes, and a diagnosis if one fails.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "framework/parity/diagnosis.hpp"

namespace trireme::framework::parity {

struct LayoutReport {
    LayoutOutcome outcome;
    Figure gradient; ///< the worst of its gradients of step 1, by its bound
    Figure worst;    ///< the worst of all its figures
    double loss = 0; ///< largest relative difference of a step's loss
    std::string weights_sha256;
    std::optional<Figure> float32; ///< bf16 runs: the worst figure of the same layout in float32
    std::string float32_error;     ///< exception that it threw there, if any
};

struct Report {
    std::string task, shape; ///< shape_class of the model
    parallelize::NumericsSection numerics;
    std::uint64_t seed = 0;
    int steps = 0;
    double single = 0;                ///< worst gradient error of one process in these numerics
    double bound = 0, loss_bound = 0; ///< largest bound of a gradient that counts, of the losses
    double float32_bound = 0;         ///< bf16 runs: the largest bound of a gradient in float32
    std::vector<LayoutReport> layouts;
    std::optional<Diagnosis> diagnosis; ///< present if a layout failed

    bool passed() const { return !diagnosis; }
};

/// Runs every layout and compares it with the reference. bf16: runs it in float32 as well, where a
/// mistake of any size shows, and compares it in bf16 with the first layout of its tensor size and
/// packing too; of tensor size 1 with one process. A diagnosis is made of the float32 runs if some
/// of those fail. In bitwise mode layouts of one tensor size and packing must also have one SHA-256
/// of their weights. `on_layout` sees each as it is done. Whatever a layout throws is its failure,
/// but for InputError.
Report check(Problem const& problem, std::vector<Layout> const& layouts, Runner const& run,
             std::function<void(LayoutReport const&)> const& on_layout = {});

} // namespace trireme::framework::parity
