#include "framework/parity/laboratory.hpp"

#include <algorithm>
#include <cmath>

#include "framework/model/transformer_stage.hpp"

namespace trireme::framework::parity {

bool Specimen::wrong(std::string const& what) const {
    return std::ranges::any_of(figures,
                               [&](auto const& f) { return f.what == what && !f.holds(); });
}

bool Specimen::first_step_right() const {
    for (char const* what :
         {"loss of step 1", "gradient", "norm of step 1", "first moment", "weights after step 1"})
        if (wrong(what)) return false;
    return true;
}

Laboratory::Laboratory(Problem const& problem, Trace const& exact, Bounds const& bounds,
                       Runner const& run)
    : problem_(problem), exact_(exact), bounds_(bounds), run_(run) {
    for (auto const& spec : model::parameter_specs(problem.model)) specs_[spec.name] = spec;
}

int Laboratory::copies(std::string const& name, Layout const& layout) const {
    auto const& s = spec(name);
    return parallel::Parameter(s, layout.parallel.tensor, 0).slice().copies;
}

bool Laboratory::counts(std::string const& name) const {
    return exact_.gradient.at(name).norm().item<double>() > 1e-4 * exact_.norms.at(0);
}

Specimen Laboratory::compare(Layout const& layout, Trace trace) const {
    Specimen s{layout, std::move(trace), {}, {}};
    s.errors = errors_of(problem_, s.trace, exact_);
    s.figures = figures(s.errors, bounds_);
    return s;
}

Trace const& Laboratory::exact_without_dropout() {
    if (!calm_) {
        calm_ = problem_.without_dropout();
        calm_exact_ = exact_trace(*calm_);
    }
    return *calm_exact_;
}

Specimen const& Laboratory::without_dropout(Layout const& layout) {
    auto const [place, fresh] = calm_specimens_.try_emplace(name_of(layout));
    if (!fresh) return place->second;
    Trace const& exact = exact_without_dropout();
    Specimen& s = place->second;
    s.layout = layout;
    s.trace = run_(*calm_, layout);
    s.errors = errors_of(*calm_, s.trace, exact);
    s.figures = figures(
        s.errors,
        bounds_of(*calm_, exact,
                  {errors_of(*calm_, single_trace(*calm_, layout.tokens_per_micro_batch), exact)}));
    return s;
}

bool Laboratory::agrees_without(std::vector<std::string> const& names, Layout const& layout) const {
    Problem other = problem_.without_dropout();
    other.steps = 1;
    for (auto const& name : names) other.initial[name] = at::zeros_like(other.initial.at(name));
    Trace const exact = exact_trace(other);
    auto const bounds =
        bounds_of(other, exact,
                  {errors_of(other, single_trace(other, layout.tokens_per_micro_batch), exact)});
    double const found = run_(other, layout).losses.at(0);
    return std::abs(found - exact.losses.at(0)) <=
           bounds.losses.at(0) * std::abs(exact.losses.at(0));
}

Laboratory::SampleLosses Laboratory::sample_losses(Layout const& layout) const {
    Problem all = problem_.without_dropout();
    all.steps = 1;
    all.samples = all.data->size();
    return {run_(all, layout).samples, exact_trace(all).samples,
            all.plan(layout.tokens_per_micro_batch, 0)};
}

std::vector<Variant> const& Laboratory::micro_batches(std::int64_t tokens_per_micro_batch) {
    auto& variants = micro_batches_[tokens_per_micro_batch];
    if (!variants.empty()) return variants;
    auto const plan = problem_.plan(tokens_per_micro_batch, 0);
    for (auto const& micro_batch : plan.micro_batches)
        variants.push_back(reference_variant(problem_.model, problem_.initial,
                                             {problem_.data->read(micro_batch, 1)}, problem_.seed,
                                             problem_.first_step, loss_scale_of(problem_, 0)));
    return variants;
}

std::vector<std::int64_t> Laboratory::trained(std::int64_t tokens_per_micro_batch) const {
    std::vector<std::int64_t> counts;
    for (auto const& micro_batch : problem_.plan(tokens_per_micro_batch, 0).micro_batches) {
        counts.push_back(0);
        for (auto const sample : micro_batch) counts.back() += problem_.data->trained(sample);
    }
    return counts;
}

std::optional<std::pair<at::Tensor, at::Tensor>> Laboratory::tied_uses() {
    auto const& model = problem_.model;
    if (!model.tied_embeddings || !model::traits_of(model.head).of_vocabulary()) return {};
    model::Config untied = model;
    untied.tied_embeddings = false;
    std::string const embeddings = model::embedding_names(model).tokens,
                      head = model::head_names(untied).language_model;
    Tensors weights = problem_.initial;
    weights[head] = weights.at(embeddings);
    auto const plan = problem_.plan(kOneMicroBatch, 0);
    auto const variant =
        reference_variant(untied, weights, {problem_.data->read(plan.micro_batches.at(0), 1)},
                          problem_.seed, problem_.first_step, loss_scale_of(problem_, 0));
    return std::pair(variant.gradient.at(embeddings), variant.gradient.at(head));
}

double Laboratory::loss_at(model::Config const& model, Tensors const& weights,
                           std::int64_t step) const {
    auto const plan = problem_.plan(kOneMicroBatch, step);
    return reference_variant(model, weights, {problem_.data->read(plan.micro_batches.at(0), 1)},
                             problem_.seed, problem_.first_step + step,
                             loss_scale_of(problem_, step))
        .loss;
}

/// A linear system: a row of `a` for each column of a fit, `b` what they must add up to.
struct System {
    at::Tensor a, b; ///< [n, elements] and [elements] over all parameters, each scaled to one size
};

static System system_of(std::vector<Tensors const*> const& columns, Tensors const& target,
                        std::vector<std::string> const& names) {
    std::vector<at::Tensor> wide, tall;
    for (auto const& name : names) {
        at::Tensor const t = target.at(name).to(at::kDouble).flatten();
        double const size = std::max(t.norm().item<double>(), 1e-300);
        std::vector<at::Tensor> rows;
        for (auto const* column : columns)
            rows.push_back(column->at(name).to(at::kDouble).flatten() / size);
        wide.push_back(at::stack(rows));
        tall.push_back(t / size);
    }
    return {at::cat(wide, 1), at::cat(tall)};
}

Fit fit(std::vector<Tensors const*> const& columns, Tensors const& target,
        std::vector<std::string> const& names) {
    auto const n = static_cast<std::int64_t>(columns.size());
    auto const [a, b] = system_of(columns, target, names);
    // A micro-batch without trained labels has no gradient: the smallest ridge keeps its weight at
    // 0.
    at::Tensor const normal = at::mm(a, a.t()),
                     ridge =
                         at::eye(n, at::kDouble) * (1e-14 * normal.trace().item<double>() + 1e-300);
    at::Tensor const weights = at::linalg_solve(normal + ridge, at::mv(a, b));
    Fit result;
    for (std::int64_t i = 0; i < n; ++i) result.weights.push_back(weights[i].item<double>());
    result.residual = (b - at::mv(a.t(), weights)).norm().item<double>() / b.norm().item<double>();
    return result;
}

} // namespace trireme::framework::parity
