#include "framework/parity/reference.hpp"

#include <cmath>
#include <map>
#include <numbers>
#include <string>

#include "cluster/thread_communicator.hpp"
#include "data/token_weights.hpp"

namespace trireme::framework::parity {

namespace {

/// A model on one rank in float64.
class Reference {
  public:
    explicit Reference(model::Config const& model)
        : world_(cluster::make_thread_world(1, {})), mesh_(*world_[0], {}),
          model_(model, mesh_, {.replicate = 1, .shard = 1},
                 {.mode = parallelize::NumericsMode::fast,
                  .compute = parallelize::Compute::fp64,
                  .threads = 1}) {}

    /// Loss and gradient at `weights`.
    Variant run(Tensors const& weights, std::vector<data::MicroBatch> const& micro_batches,
                std::uint64_t seed, std::int64_t step, double loss_scale) {
        set_weights(model_, weights);
        std::vector<model::Pass> passes;
        for (auto const& micro_batch : micro_batches)
            passes.push_back(model::make_pass(micro_batch, true, seed, step, loss_scale));
        model_.load(std::move(passes));
        Variant variant;
        for (double const l : model_.engine().forward_backward(std::ssize(micro_batches)))
            variant.loss += l;
        variant.gradient = collect(model_, weights::Kept::gradient, true);
        return variant;
    }
    std::map<std::int64_t, double> samples() const { return sample_losses(model_); }

  private:
    std::vector<std::unique_ptr<cluster::Communicator>> world_;
    parallel::Mesh mesh_;
    parallelize::ParallelModel model_;
};

Tensors in_double(Tensors const& tensors) {
    Tensors wide;
    for (auto const& [name, x] : tensors) wide[name] = x.to(at::kDouble);
    return wide;
}

} // namespace

double rate_of(Problem const& problem, std::int64_t step) {
    auto const& o = problem.optimizer;
    double const done = static_cast<double>(problem.first_step + step) /
                        static_cast<double>(problem.steps_of_schedule);
    double const left = o.schedule == optimizer::RateSchedule::cosine
                            ? (1 + std::cos(std::numbers::pi * done)) / 2
                            : 1 - done;
    double const last = o.final_fraction * o.learning_rate;
    return last + (o.learning_rate - last) * left;
}

namespace {

double norm_of_tensors(Tensors const& tensors) {
    double squares = 0;
    for (auto const& [name, x] : tensors) squares += x.square().sum().item<double>();
    return std::sqrt(squares);
}

/// Lists each parameter's part of the rate: from the head down to the embeddings, each block
/// multiplies by layer_decay once more.
std::map<std::string, double> rates_by_name(Problem const& problem) {
    std::map<std::string, double> of_unit{{"head", 1}};
    double part = 1;
    for (std::int64_t layer = problem.model.layers; layer-- > 0;)
        of_unit["layers." + std::to_string(layer)] = part *= problem.optimizer.layer_decay;
    of_unit["embeddings"] = of_unit["tied"] = part * problem.optimizer.layer_decay;
    std::map<std::string, double> rates;
    for (auto const& spec : model::parameter_specs(problem.model))
        rates[spec.name] = of_unit.at(spec.unit);
    return rates;
}

/// AdamW with decoupled decay of matrices (Loshchilov and Hutter, ICLR 2019), clipped by the
/// gradient's own norm.
struct PlainAdamW {
    optimizer::Section const& o;
    std::map<std::string, double> rates; ///< of each parameter, as a part of the rate
    Tensors moments1 = {}, moments2 = {};

    Tensors step(Tensors const& weights, Tensors const& gradient, double rate,
                 std::int64_t number) {
        double const norm = norm_of_tensors(gradient),
                     scale = norm > o.clip && o.clip > 0 ? o.clip / norm : 1;
        double const t = static_cast<double>(number + 1);
        Tensors next;
        for (auto const& [name, w] : weights) {
            at::Tensor const g = gradient.at(name) * scale;
            auto& m = moments1.try_emplace(name, at::zeros_like(g)).first->second;
            auto& v = moments2.try_emplace(name, at::zeros_like(g)).first->second;
            m = o.beta1 * m + (1 - o.beta1) * g;
            v = o.beta2 * v + (1 - o.beta2) * g * g;
            at::Tensor const mean = m / (1 - std::pow(o.beta1, t)),
                             square = v / (1 - std::pow(o.beta2, t));
            double const decay = w.dim() > 1 ? o.weight_decay : 0;
            next[name] =
                w - rates.at(name) * rate * (mean / (square.sqrt() + o.epsilon) + decay * w);
        }
        return next;
    }
};

std::vector<data::MicroBatch> one_micro_batch(Problem const& problem, std::int64_t step) {
    std::vector<data::MicroBatch> micro_batches;
    for (auto const& samples : problem.plan(kOneMicroBatch, step).micro_batches)
        micro_batches.push_back(problem.data->read(samples, 1));
    return micro_batches;
}

} // namespace

double loss_scale_of(Problem const& problem, std::int64_t step) {
    auto const& weights = problem.model.class_weights;
    double divisor = 0;
    for (auto const& micro_batch : one_micro_batch(problem, step)) {
        auto const& of_tokens = micro_batch.columns.labels_of(data::kTokenWeights);
        for (auto const weight : of_tokens)
            divisor += static_cast<double>(weight) / data::kWeightUnit;
        if (weights.empty() && of_tokens.empty())
            divisor += static_cast<double>(micro_batch.columns.counted());
        for (auto const label : micro_batch.columns.labels_of(data::kClassLabel))
            if (!weights.empty() && label >= 0)
                divisor += weights.at(static_cast<std::size_t>(label));
    }
    return 1.0 / divisor;
}

static Variant run_step(Reference& reference, Problem const& problem, Tensors const& weights,
                        std::int64_t step) {
    return reference.run(weights, one_micro_batch(problem, step), problem.seed,
                         problem.first_step + step, loss_scale_of(problem, step));
}

static StepTrace step_trace(Tensors const& gradient, Tensors const& weights,
                            PlainAdamW const& optimizer) {
    return {gradient, weights, optimizer.moments1, optimizer.moments2, {}, {}, {}};
}

/// Notes what only the first step's trace has.
static void trace_first_step(Trace& trace, Reference const& reference, Tensors gradient,
                             PlainAdamW const& optimizer) {
    trace.samples = reference.samples();
    trace.gradient = std::move(gradient);
    trace.first = trace.weights;
    trace.first_moments = optimizer.moments1;
}

Trace exact_trace(Problem const& problem) {
    Reference reference(problem.model);
    PlainAdamW optimizer{problem.optimizer, rates_by_name(problem), in_double(problem.moments1),
                         in_double(problem.moments2)};
    Trace trace;
    trace.weights = in_double(problem.initial);
    for (std::int64_t step = 0; step < problem.steps; ++step) {
        std::int64_t const number = problem.first_step + step;
        Variant found = run_step(reference, problem, trace.weights, step);
        trace.losses.push_back(found.loss);
        trace.norms.push_back(norm_of_tensors(found.gradient));
        trace.weights =
            optimizer.step(trace.weights, found.gradient, rate_of(problem, step), number);
        if (problem.keep_each_step)
            trace.each.push_back(step_trace(found.gradient, trace.weights, optimizer));
        if (step == 0) trace_first_step(trace, reference, std::move(found.gradient), optimizer);
    }
    trace.moments = optimizer.moments1;
    return trace;
}

Variant reference_variant(model::Config const& model, Tensors const& weights,
                          std::vector<data::MicroBatch> const& micro_batches, std::uint64_t seed,
                          std::int64_t step, double loss_scale) {
    return Reference(model).run(weights, micro_batches, seed, step, loss_scale);
}

} // namespace trireme::framework::parity
