#include "framework/parity/trace.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cluster/error.hpp"
#include "cluster/gather_values.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/optimizer/schedule.hpp"
#include "framework/parity/small_sizes.hpp"
#include "framework/step/batch_source.hpp"
#include "framework/step/results.hpp"
#include "framework/weights/weights_hash.hpp"

namespace trireme::framework::parity {

namespace {

constexpr std::chrono::minutes kDeadline{10}; ///< of waits for a GPU, of which there is none

struct Header {
    std::int64_t parameter, first, count;
};

/// Puts tensors together from what every rank sent, and keeps account of how far copies differ.
class Assembly {
  public:
    Assembly(std::vector<parallel::ParameterSpec> const& specs, at::ScalarType dtype)
        : specs_(specs), dtype_(dtype) {
        for (auto const& spec : specs) {
            whole_.push_back(at::empty(spec.shape, at::TensorOptions().dtype(dtype)));
            met_.emplace_back(static_cast<std::size_t>(whole_.back().numel()), false);
        }
    }
    void add(std::string const& bytes) {
        std::vector<double> squares(specs_.size());
        for (std::size_t at = 0; at < bytes.size();) {
            Header header{};
            std::memcpy(&header, bytes.data() + at, sizeof header);
            at += sizeof header;
            auto const p = static_cast<std::size_t>(header.parameter);
            squares[p] += dtype_ == at::kDouble ? place<double>(header, bytes.data() + at)
                                                : place<float>(header, bytes.data() + at);
            at += static_cast<std::size_t>(header.count) * whole_[p].element_size();
        }
        for (std::size_t p = 0; p < specs_.size(); ++p)
            if (squares[p] > 0)
                copies[specs_[p].name] = std::max(copies[specs_[p].name], std::sqrt(squares[p]));
    }
    Tensors take() {
        Tensors tensors;
        for (std::size_t p = 0; p < specs_.size(); ++p) {
            if (std::ranges::find(met_[p], false) != met_[p].end())
                throw cluster::JobError("tensor " + specs_[p].name +
                                        ": no rank keeps all of its elements");
            tensors[specs_[p].name] = whole_[p];
        }
        return tensors;
    }

    Spread copies;

  private:
    /// Sum of squares of the differences to what another rank sent.
    template <typename T>
    double place(Header const& header, char const* data) {
        auto const p = static_cast<std::size_t>(header.parameter);
        T* const out = whole_[p].data_ptr<T>();
        double squares = 0;
        for (std::int64_t i = 0; i < header.count; ++i) {
            T value{};
            std::memcpy(&value, data + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
            auto const e = static_cast<std::size_t>(header.first + i);
            if (met_[p][e]) {
                double const difference = static_cast<double>(value) - static_cast<double>(out[e]);
                squares += difference * difference;
            } else {
                out[e] = value;
                met_[p][e] = true;
            }
        }
        return squares;
    }

    std::vector<parallel::ParameterSpec> const& specs_;
    at::ScalarType dtype_;
    std::vector<at::Tensor> whole_;
    std::vector<std::vector<bool>> met_;
};

std::string kept_bytes(parallelize::ParallelModel const& model, weights::Kept what) {
    std::string bytes;
    for (std::size_t p = 0; p < model.specs().size(); ++p) {
        if (!model.store().contains(model.specs()[p].name)) continue;
        weights::for_each_kept(
            model.store().at(model.specs()[p].name), what,
            [&](parallel::Run const& run, at::Tensor const& values) {
                Header const header{static_cast<std::int64_t>(p), run.global, run.count};
                bytes.append(reinterpret_cast<char const*>(&header), sizeof header);
                at::Tensor const here = values.cpu();
                bytes.append(static_cast<char const*>(here.const_data_ptr()), here.nbytes());
            });
    }
    return bytes;
}

/// Reads what the first step finds of Adam's moments.
void set_moments(parallelize::ParallelModel& model, Problem const& problem) {
    for (auto const& [what, moments] : {std::pair{weights::Kept::moment1, &problem.moments1},
                                        {weights::Kept::moment2, &problem.moments2}}) {
        if (moments->empty()) continue;
        for (auto const& p : model.store().parameters())
            weights::put_whole(*p, what, moments->at(p->spec().name));
    }
}

} // namespace

void set_weights(parallelize::ParallelModel& model, Tensors const& weights) {
    for (auto const& p : model.store().parameters())
        weights::put_whole(*p, weights::Kept::weight, weights.at(p->spec().name));
    model.refresh();
}

Tensors collect(parallelize::ParallelModel const& model, weights::Kept what, bool whole,
                Spread* copies) {
    auto const all =
        cluster::all_gather_bytes(model.mesh().world(), kept_bytes(model, what), "parity");
    if (!whole) return {};
    Assembly assembly(model.specs(), model.store().master_dtype());
    for (auto const& bytes : all) assembly.add(bytes);
    if (copies) *copies = assembly.copies;
    return assembly.take();
}

std::map<std::int64_t, double> sample_losses(parallelize::ParallelModel const& model) {
    std::map<std::int64_t, double> all;
    for (auto const& results :
         cluster::all_gather_values(model.mesh().world(), model.results().samples, "parity"))
        for (auto const& result : results) all[result.sample] = result.loss;
    return all;
}

namespace {

/// Notes what only the first step's trace has, before the update.
void trace_gradient(Trace& trace, parallelize::ParallelModel const& model, bool whole) {
    trace.samples = sample_losses(model);
    trace.gradient = collect(model, weights::Kept::gradient, whole, &trace.gradient_copies);
}

/// Notes what only the first step's trace has, after the update.
void trace_update(Trace& trace, parallelize::ParallelModel const& model, bool whole) {
    trace.first = collect(model, weights::Kept::weight, whole);
    trace.first_moments = collect(model, weights::Kept::moment1, whole, &trace.first_moment_copies);
}

void trace_end(Trace& trace, parallelize::ParallelModel const& model, bool whole) {
    trace.moments = collect(model, weights::Kept::moment1, whole);
    trace.weights = collect(model, weights::Kept::weight, whole, &trace.weight_copies);
    if (whole) trace.weights_sha256 = weights::weights_sha256(trace.weights);
}

/// Completes what is kept of each step, whose gradient it has from before the update.
void keep_step(Trace& trace, StepTrace kept, parallelize::ParallelModel const& model, bool whole) {
    kept.moments1 = collect(model, weights::Kept::moment1, whole, &kept.moment_copies);
    kept.moments2 = collect(model, weights::Kept::moment2, whole);
    kept.weights = collect(model, weights::Kept::weight, whole, &kept.weight_copies);
    trace.each.push_back(std::move(kept));
}

/// Makes the steps of a problem as the trainer does.
class Steps {
  public:
    Steps(Problem const& problem, Layout const& layout, parallel::Mesh const& mesh,
          parallelize::ParallelModel& model)
        : problem_(problem), model_(model),
          optimizer_(model.store(), problem.optimizer,
                     layout.parallel.offload == parallelize::Offload::optimizer,
                     problem.model.layers),
          gradient_norm_(model.store(), mesh), shape_{problem.samples,
                                                      layout.tokens_per_micro_batch,
                                                      layout.parallel.tensor},
          batches_(*problem.data, shape_, mesh, problem.seed, at::kCPU, kDeadline) {
        batches_.weigh_classes(problem.model.class_weights);
    }

    void make(std::int64_t step, Trace& trace, bool whole) {
        std::int64_t const number = problem_.first_step + step;
        at::Tensor const loss =
            step::forward_backward(batches_, {number, number * problem_.samples}, model_);
        at::Tensor const norm = gradient_norm_.compute();
        trace.losses.push_back(loss.item<double>());
        trace.norms.push_back(norm.item<double>());
        if (step == 0) trace_gradient(trace, model_, whole);
        StepTrace kept;
        if (problem_.keep_each_step)
            kept.gradient = collect(model_, weights::Kept::gradient, whole, &kept.gradient_copies);
        update(number, loss, norm);
        if (problem_.keep_each_step) keep_step(trace, std::move(kept), model_, whole);
        if (step == 0) trace_update(trace, model_, whole);
    }

  private:
    void update(std::int64_t number, at::Tensor const& loss, at::Tensor const& norm) {
        at::Tensor const scale = step::update_scale(loss, norm, problem_.optimizer.clip,
                                                    std::numeric_limits<double>::infinity());
        optimizer_.step(
            optimizer::learning_rate(problem_.optimizer, number, problem_.steps_of_schedule), scale,
            number);
        model_.refresh();
    }

    Problem const& problem_;
    parallelize::ParallelModel& model_;
    optimizer::AdamW optimizer_;
    optimizer::GradientNorm const gradient_norm_;
    data::BatchShape const shape_;
    step::BatchSource batches_;
};

} // namespace

Trace run_layout(Problem const& problem, Layout const& layout,
                 parallelize::NumericsSection const& numerics, cluster::Communicator& world,
                 bool whole) {
    parallel::Mesh const mesh(world, parallelize::mesh_shape(layout.parallel, world.size()));
    parallelize::ParallelModel model(problem.model, mesh, layout.parallel, numerics);
    set_weights(model, problem.initial);
    Steps steps(problem, layout, mesh, model);
    set_moments(model, problem);
    Trace trace;
    for (std::int64_t step = 0; step < problem.steps; ++step) steps.make(step, trace, whole);
    trace_end(trace, model, whole);
    return trace;
}

Runner run_as_threads() {
    return [](Problem const& problem, Layout const& layout) {
        SmallSizes const small;
        Trace trace;
        cluster::run_as_threads(layout.ranks(), [&](cluster::Communicator& world) {
            Trace mine = run_layout(problem, layout, problem.numerics, world, world.rank() == 0);
            if (world.rank() == 0) trace = std::move(mine);
        });
        return trace;
    };
}

Runner run_in(cluster::Communicator& world) {
    return [&world](Problem const& problem, Layout const& layout) {
        SmallSizes const small;
        return run_layout(problem, layout, problem.numerics, world, true);
    };
}

Trace single_trace(Problem const& problem, std::int64_t tokens_per_micro_batch) {
    SmallSizes const small;
    auto const world = cluster::make_thread_world(1, {});
    return run_layout(problem, {{.replicate = 1, .shard = 1}, tokens_per_micro_batch},
                      problem.numerics, *world[0], true);
}

} // namespace trireme::framework::parity
