// Experiments on a layout that failed: what a hypothesis about its cause may look at.
#pragma once
#include <ATen/ATen.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "framework/parity/compare.hpp"
#include "framework/parity/reference.hpp"
#include "parallel/parameter.hpp"

namespace trireme::framework::parity {

/// A layout under examination.
struct Specimen {
    Layout layout;
    Trace trace;
    Errors errors;
    std::vector<Figure> figures;
    /// bitwise mode: other layouts of the same tensor size and packing have another hash
    bool hash_differs = false;

    bool wrong(std::string const& what) const; ///< some figure of that name is over its bound
    bool first_step_right() const;
    std::vector<std::string> parameters(std::string const& what) const {
        return wrong_parameters(figures, what);
    }
};

class Laboratory {
  public:
    /// All must outlive the laboratory.
    Laboratory(Problem const& problem, Trace const& exact, Bounds const& bounds, Runner const& run);

    Problem const& problem() const { return problem_; }
    Trace const& exact() const { return exact_; }
    parallel::ParameterSpec const& spec(std::string const& name) const { return specs_.at(name); }
    /// How many tensor ranks of the layout hold the same slice of a parameter.
    int copies(std::string const& name, Layout const& layout) const;
    /// Is its gradient more than the rounding of others'?
    bool counts(std::string const& name) const;

    Specimen examine(Layout const& layout) const { return compare(layout, run_(problem_, layout)); }
    /// Compares a trace that exists already.
    Specimen compare(Layout const& layout, Trace trace) const;
    Runner const& runner() const { return run_; }
    /// Examines the layout with every dropout at 0, against a reference without dropout.
    Specimen const& without_dropout(Layout const& layout);
    Trace const& exact_without_dropout();
    /// Does the layout's first loss agree with the reference's once the named parameters are 0 in
    /// both, without dropout?
    bool agrees_without(std::vector<std::string> const& names, Layout const& layout) const;
    /// Losses of every sample there is in the layout and in the reference, without dropout.
    struct SampleLosses {
        std::map<std::int64_t, double> found, exact;
        data::StepPlan plan; ///< the micro-batches of the layout
    };
    SampleLosses sample_losses(Layout const& layout) const;

    /// Loss and gradient of each micro-batch of step 1 alone; where micro-batches are scaled
    /// rightly they add up to the reference.
    std::vector<Variant> const& micro_batches(std::int64_t tokens_per_micro_batch);
    /// Trained labels of those micro-batches.
    std::vector<std::int64_t> trained(std::int64_t tokens_per_micro_batch) const;
    /// Gradients of the embedding's and of the head's use of a tied embedding; none if it is not
    /// tied.
    std::optional<std::pair<at::Tensor, at::Tensor>> tied_uses();
    /// The loss of `step` (from 0) of the reference at other weights, or of another model.
    double loss_at(model::Config const& model, Tensors const& weights, std::int64_t step) const;

  private:
    Problem const& problem_;
    Trace const& exact_;
    Bounds const& bounds_;
    Runner const& run_;
    std::map<std::string, parallel::ParameterSpec> specs_;
    std::map<std::int64_t, std::vector<Variant>> micro_batches_;
    std::optional<Problem> calm_; ///< without dropout
    std::optional<Trace> calm_exact_;
    std::map<std::string, Specimen> calm_specimens_; ///< by name of the layout
};

/// Fits target = sum of weights[i] x columns[i] by least squares over the tensors of `names`, each
/// of which counts alike.
struct Fit {
    std::vector<double> weights;
    double residual = 1; ///< ||target - fit|| / ||target||
};
Fit fit(std::vector<Tensors const*> const& columns, Tensors const& target,
        std::vector<std::string> const& names);

} // namespace trireme::framework::parity
