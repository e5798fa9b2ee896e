#include "framework/planning/kernel_times.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cluster/topology.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/planning/dry_step.hpp"
#include "framework/planning/operation_sizes.hpp"
#include "framework/planning/step_cost.hpp"
#include "framework/planning/timing.hpp"
#include "parallel/dry_world.hpp"

namespace trireme::framework::planning {

namespace {

/// Operands of one product, of which the second and the result are other ones each time, so that
/// no cache has them: a layer's weights were last read a whole step ago.
class Operands {
  public:
    Operands(ProductShape const& s, at::ScalarType type) : s_(s) {
        constexpr std::int64_t kBeyondCaches = 32 << 20;
        auto const each = (s.inner + s.rows) * s.columns * at::elementSize(type);
        auto const copies = std::clamp<std::int64_t>(kBeyondCaches / each, 2, 64);
        at::TensorOptions const options(type);
        a_ = s.form == ProductForm::tn ? at::full({s.inner, s.rows}, 0.1, options).t()
                                       : at::full({s.rows, s.inner}, 0.1, options);
        for (std::int64_t i = 0; i < copies; ++i) {
            b_.push_back(s.form == ProductForm::nt
                             ? at::full({s.columns, s.inner}, 0.1, options).t()
                             : at::full({s.inner, s.columns}, 0.1, options));
            if (s.form == ProductForm::tn) out_.push_back(at::zeros({s.rows, s.columns}, options));
        }
    }
    void run(int i) {
        auto const at = static_cast<std::size_t>(i) % b_.size();
        if (s_.form == ProductForm::tn)
            at::mm_out(out_[at], a_, b_[at]); // weight gradients have their place
        else
            result_ = at::mm(a_, b_[at]);
    }

  private:
    ProductShape s_;
    at::Tensor a_, result_;
    std::vector<at::Tensor> b_, out_;
};

/// Of weight gradients the batch is the inner dimension.
ProductShape shape_of(ProductForm form, std::int64_t batch, std::int64_t in, std::int64_t out) {
    return form == ProductForm::tn ? ProductShape{form, in, batch, out}
                                   : ProductShape{form, batch, in, out};
}

/// A model of which a step is timed, and its micro-batch.
struct Reference {
    std::string name;
    model::Config model;
    std::int64_t samples = 1, length = 64;
    int tensor = 1;
};

model::Config small_model(model::Family family, std::int64_t hidden) {
    model::Config c;
    c.family = family;
    c.hidden = hidden, c.layers = 1, c.head_size = 32, c.heads = c.kv_heads = 2;
    c.feed_forward = 2 * hidden, c.vocabulary = 512, c.max_positions = 64;
    if (family == model::Family::llama) return c;
    c.norm = model::Norm::layer, c.gated = false, c.positions = model::Positions::learned;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.embedding_dropout = c.hidden_dropout = 0.1, c.tied_embeddings = true;
    c.activation = model::Activation::gelu_tanh;
    if (family == model::Family::gpt2) return c.input_major = true, c;
    c.activation = model::Activation::gelu;
    c.norm_first = c.causal = false, c.token_types = 2;
    c.head = model::HeadKind::masked_language_model;
    return c;
}

std::vector<Reference> references(KernelPlan const& plan) {
    constexpr std::int64_t kLength = 64, kHidden = 256;
    std::vector<Reference> all;
    for (auto const& [name, family] : {std::pair{"llama", model::Family::llama},
                                       {"gpt2", model::Family::gpt2},
                                       {"bert", model::Family::bert}}) {
        for (auto const tokens : plan.tokens)
            all.push_back({fmt::format("{} of {} tokens", name, tokens),
                           small_model(family, kHidden), tokens / kLength, kLength});
        all.push_back({fmt::format("{} on one of 2 tensor ranks", name),
                       small_model(family, kHidden), plan.tokens.front() / kLength, kLength, 2});
    }
    return all;
}

/// Keeps what a step does, and when.
struct Seen : StepWatcher {
    void launched(Launch const& launch) override { launches.push_back(launch); }
    std::vector<Launch> launches;
};

/// One rank's part of a step, run again and again; collectives move nothing.
class ReferenceStep {
  public:
    ReferenceStep(Reference const& r, parallelize::Compute compute)
        : model_(r.model), step_(describe_step(r, compute)),
          world_(parallel::make_dry_world(step_.mesh, 0)), mesh_(*world_, step_.mesh),
          parallel_(model_, mesh_, step_.section, step_.numerics),
          optimizer_(parallel_.store(), {}) {
        norm_.emplace(parallel_.store(), mesh_);
        for (auto& unit : parallel_.store().units()) unit->master.uniform_(-0.05, 0.05);
        parallel_.refresh();
    }
    /// Returns seconds.
    double run(StepWatcher* watcher) {
        DryStep now = dry_step(model_, step_, mesh_, at::kCPU);
        parallel_.load(std::move(now.passes));
        std::optional<LaunchCounter> counter;
        if (watcher) counter.emplace(false, watcher);
        auto const start = Clock::now();
        train_once(parallel_, optimizer_, norm_, now.micro_batches);
        end_ = Clock::now();
        return seconds_between(start, end_);
    }
    Clock::time_point end() const { return end_; }

  private:
    static StepDescription describe_step(Reference const& r, parallelize::Compute compute) {
        StepDescription step;
        step.mesh[parallel::Axis::tensor] = step.section.tensor = r.tensor;
        step.numerics.compute = compute;
        step.tokens_per_micro_batch = r.samples * r.length;
        step.lengths.assign(static_cast<std::size_t>(r.samples), r.length);
        return step;
    }
    model::Config model_;
    StepDescription step_;
    std::unique_ptr<cluster::Communicator> world_;
    parallel::Mesh mesh_;
    parallelize::ParallelModel parallel_;
    optimizer::AdamW optimizer_;
    std::optional<optimizer::GradientNorm> norm_;
    Clock::time_point end_;
};

constexpr int kRepeats = 5;

double median_seconds(ReferenceStep& step) {
    std::vector<double> seconds;
    for (int i = 0; i < kRepeats; ++i) seconds.push_back(step.run(nullptr));
    return median(std::move(seconds));
}

/// Times of the kernels of a step, by their place in its order.
struct StepTimes {
    std::vector<Launch> launches;
    std::vector<double> seconds; ///< from one call to the next; of the least disturbed repeat
    std::vector<double> gaps;    ///< between libtorch's operations
};

StepTimes time_kernels(ReferenceStep& step) {
    StepTimes times;
    std::vector<std::vector<double>> each;
    std::vector<double> plain, watched;
    for (int i = 0; i < kRepeats; ++i) {
        plain.push_back(step.run(nullptr));
        Seen seen;
        watched.push_back(step.run(&seen));
        times.launches = std::move(seen.launches);
        auto const& l = times.launches;
        each.resize(l.size());
        for (std::size_t k = 0; k < l.size(); ++k) {
            auto const next = k + 1 < l.size() ? l[k + 1].begin : step.end();
            each[k].push_back(seconds_between(l[k].begin, next));
            if (l[k].name.starts_with("aten::"))
                times.gaps.push_back(seconds_between(l[k].end, next));
        }
    }
    double const more = std::ranges::min(watched) - std::ranges::min(plain);
    double const watching =
        std::max(0.0, more) / static_cast<double>(std::max<std::size_t>(1, each.size()));
    for (auto& x : each) times.seconds.push_back(std::max(1e-7, std::ranges::min(x) - watching));
    for (double& gap : times.gaps) gap = std::max(0.0, gap - watching);
    return times;
}

TimedStep described(Reference const& r) {
    return {.name = r.name,
            .tokens = r.samples * r.length,
            .attention = {.causal = r.model.causal,
                          .dropout = r.model.attention_dropout > 0,
                          .sequence = r.length}};
}

} // namespace

std::vector<ProductTime> time_products(KernelPlan const& plan, cluster::Communicator& world,
                                       std::function<void()> const& between) {
    std::vector<ProductTime> times;
    for (auto const form : {ProductForm::nn, ProductForm::nt, ProductForm::tn})
        for (auto const batch : plan.rows)
            for (auto const in : plan.widths)
                for (auto const out : plan.widths)
                    if (2.0 * static_cast<double>(batch * in * out) <= plan.most_flops)
                        times.push_back({parallelize::name_of(plan.compute),
                                         shape_of(form, batch, in, out), 0});
    std::vector<double> fastest;
    for (int round = 0; round < kTimingRounds; ++round) {
        std::vector<double> seconds;
        for (auto const& time : times) {
            Operands operands(time.shape, parallelize::compute_dtype(plan.compute));
            seconds.push_back(
                repeated([&](int i) { operands.run(i); }, plan.seconds / kTimingRounds, world));
        }
        keep_fastest(fastest, seconds);
        between();
    }
    average(fastest, world);
    for (std::size_t i = 0; i < times.size(); ++i) times[i].seconds = fastest[i];
    return times;
}

struct ReferenceSteps::Steps {
    std::vector<Reference> references;
    std::vector<std::vector<double>> rounds; ///< seconds of each reference
};

ReferenceSteps::ReferenceSteps(KernelPlan const& plan, cluster::Communicator& world)
    : plan_(plan), world_(world), steps_(std::make_unique<Steps>()) {
    steps_->references = references(plan);
    steps_->rounds.resize(steps_->references.size());
}
ReferenceSteps::~ReferenceSteps() = default;

void ReferenceSteps::time_round() {
    for (std::size_t i = 0; i < steps_->references.size(); ++i) {
        ReferenceStep step(steps_->references[i], plan_.compute);
        world_.barrier("calibrate");
        step.run(nullptr);
        steps_->rounds[i].push_back(median_seconds(step));
    }
}

StepKernels ReferenceSteps::result() {
    StepKernels kernels;
    OperationSizes sizes;
    std::vector<double> gaps, seconds;
    for (auto const& reference : steps_->references) {
        ReferenceStep step(reference, plan_.compute);
        world_.barrier("calibrate");
        step.run(nullptr);
        auto times = time_kernels(step);
        for (std::size_t k = 0; k < times.launches.size(); ++k)
            sizes.add(times.launches[k], times.seconds[k]);
        gaps.insert(gaps.end(), times.gaps.begin(), times.gaps.end());
        kernels.steps.push_back(described(reference));
        kernels.steps.back().launches = std::move(times.launches);
    }
    for (auto const& of_one : steps_->rounds) seconds.push_back(median(of_one));
    average(seconds, world_);
    for (std::size_t i = 0; i < seconds.size(); ++i) kernels.steps[i].seconds = seconds[i];
    kernels.operations = sizes.times(world_);
    std::vector<double> launch{median(gaps)};
    average(launch, world_);
    kernels.launch = launch.front();
    return kernels;
}

double memory_bandwidth(cluster::Communicator& world) {
    constexpr std::int64_t kElements = 16 << 20;
    at::Tensor const a = at::ones({kElements}), b = at::ones({kElements});
    at::Tensor c = at::empty({kElements});
    std::vector<double> seconds{repeated([&](int) { at::add_out(c, a, b); }, 0.2, world)};
    average(seconds, world);
    return 3.0 * 4.0 * static_cast<double>(kElements) / seconds.front();
}

std::int64_t prepare_kernels(KernelPlan const& plan, cluster::Communicator& world) {
    parallelize::NumericsSection numerics;
    numerics.compute = plan.compute;
    return parallelize::configure_numerics(numerics, cluster::topology(world).cores_per_rank);
}

} // namespace trireme::framework::planning
