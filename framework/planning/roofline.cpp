#include "framework/planning/roofline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>

#include "cluster/error.hpp"
#include "framework/planning/call_clock.hpp"
#include "framework/planning/collective_cost.hpp"
#include "framework/planning/group_places.hpp"
#include "framework/planning/kernels.hpp"
#include "framework/planning/real.hpp"
#include "framework/planning/step_cost.hpp"
#include "parallel/pipeline_simulation.hpp"
#include "parallel/step_place.hpp"

namespace trireme::framework::planning {

namespace {

/// Seconds between the end of a kernel's last block and the start of the next kernel's first.
constexpr double kGap = 3e-6;
/// Flash attention (Dao 2023): products of the backward pass over those of the forward pass, and
/// the share of its rate that the backward pass reaches.
constexpr double kBackwardProducts = 2.5, kBackwardRate = 0.85;

/// Scores of one query in the mean over a sample's and over the model's layers.
double mean_scores(RooflineRequest const& r) {
    double const n = real(r.batch.length);
    auto const of_layer = [&](std::int64_t window) {
        if (window == 0 || window >= r.batch.length) return r.model.causal ? n / 2 : n;
        double const w = real(window), one_side = w - w * (w - 1) / (2 * n); // the first see fewer
        return r.model.causal ? one_side : 2 * one_side - 1;
    };
    if (r.model.windows.empty()) return of_layer(0);
    double sum = 0;
    for (auto const window : r.model.windows) sum += of_layer(window);
    return sum / real(std::ssize(r.model.windows));
}

double attention_flops(Launch const& launch, RooflineRequest const& r) {
    double const forward =
        4 * real(launch.tokens) * mean_scores(r) * real(launch.heads * launch.head_size);
    return launch.name.ends_with("backward") ? kBackwardProducts / kBackwardRate * forward
                                             : forward;
}

/// Runs the clocks of a GPU and of its host along with a step of one rank.
class RooflineClock : public StepWatcher {
  public:
    RooflineClock(RooflineRequest const& request, parallel::MeshShape const& mesh)
        : r_(request), mesh_(mesh), calls_(request.stack.constants.overlap) {}

    void launched(Launch const& launch) override {
        bool const shown = launch.product.rows > 0 || launch.tokens > 0;
        if (launch.multiplies && !shown && launch.bytes > 0) unknown_ = launch.name;
        auto& seconds = here();
        double const kernels = real(launch.kernels);
        host_ += kernels * r_.stack.constants.host_kernel;
        double const late = std::max(0.0, host_ - clock_) + kernels * kGap;
        seconds.launches += late;
        clock_ += late + run(launch, seconds);
    }
    void call_started(std::string_view group, cluster::CallRecord const& call) override {
        Group const members = group_of(group, mesh_);
        if (members.size < 2) return;
        bool const gathers = call.op == cluster::Collective::all_gather;
        double const bytes = real(static_cast<std::int64_t>(call.count * size_of(call.dtype))) *
                             (gathers ? real(members.size) : 1);
        double const seconds = call.op == cluster::Collective::all_reduce
                                   ? all_reduce_seconds(members, r_.machine, bytes)
                                   : all_gather_seconds(members, r_.machine, bytes);
        calls_.start(group, call.sequence, clock_, seconds, {});
    }
    void call_finished(std::string_view group, std::uint64_t sequence) override {
        calls_.finish(group, sequence, clock_, [&](std::monostate, double exposed) {
            (group.starts_with("tensor") ? here().tensor : here().data) += exposed;
        });
    }

    /// Throws JobError if a product was launched whose size is not known: it would pass for free.
    void check() const {
        if (!unknown_.empty())
            throw cluster::JobError("the model of a step knows no size of the product " + unknown_);
    }
    /// Of one action's kind, chunk and micro-step.
    RooflineSeconds at(std::string_view doing, int chunk, std::int64_t micro_step) const {
        auto const found = places_.find({std::string(doing), chunk, micro_step});
        return found == places_.end() ? RooflineSeconds{} : found->second;
    }
    RooflineSeconds all() const {
        RooflineSeconds sum;
        for (auto const& [place, seconds] : places_) sum.add(seconds);
        return sum;
    }

  private:
    double run(Launch const& launch, RooflineSeconds& seconds) const {
        auto const& gpu = r_.machine.gpu;
        if (auto const& p = launch.product; p.rows > 0) {
            double const times = launch.dtype == "bf16" ? 1 : 2; // TF32 takes twice as long
            double const all = times * matrix_seconds(gpu, real(p.rows), real(p.columns),
                                                      real(p.inner), real(launch.batch));
            return seconds.products += all, all;
        }
        if (launch.tokens > 0) {
            double const all =
                attention_flops(launch, r_) / (gpu.matrix_flops * r_.stack.constants.attention);
            return seconds.attention += all, all;
        }
        double const all = memory_seconds(gpu, real(launch.bytes));
        return seconds.elementwise += all, all;
    }
    RooflineSeconds& here() {
        auto const& place = parallel::step_place;
        return places_[{place.doing, place.chunk, place.micro_step}];
    }

    RooflineRequest const& r_;
    parallel::MeshShape mesh_;
    double clock_ = 0, host_ = 0;
    std::map<std::tuple<std::string, int, std::int64_t>, RooflineSeconds> places_;
    CallClock<std::monostate> calls_;
    std::string unknown_; ///< name of a product without a size
};

/// A stage of the pipeline.
struct StageSeconds {
    std::vector<parallel::PartTimes> chunks; ///< of a micro-step in the middle
    RooflineSeconds passes;                  ///< of such a micro-step
    RooflineSeconds once;                    ///< what a step has besides
};

class StepModel {
  public:
    explicit StepModel(RooflineRequest const& request)
        : r_(checked(request)), whole_(even(request.batch.samples)),
          micro_steps_((request.batch.samples + samples_at_once() - 1) / samples_at_once()) {}

    StepRoofline run() const {
        std::vector<StageSeconds> stages;
        for (int s = 0; s < r_.section.pipeline; ++s) stages.push_back(stage(s));
        StepRoofline found;
        double once = 0;
        for (auto const& one : stages) {
            RooflineSeconds step = one.once;
            step.add(one.passes, real(micro_steps_));
            if (step.sum() > found.busiest.sum()) found.busiest = step;
            once = std::max(once, one.once.sum());
        }
        found.waits = std::max(0.0, passes_of(stages) + once - found.busiest.sum());
        return found;
    }

  private:
    static RooflineRequest const& checked(RooflineRequest const& request) {
        if (request.numerics.compute != parallelize::Compute::bf16)
            throw cluster::InputError(fmt::format(
                "numerics.compute: {}: legal for the model of a step on GPUs: bf16, whose "
                "rate a machine's file has",
                names_of(
                    parallelize::Compute{})[static_cast<std::size_t>(request.numerics.compute)]));
        return request;
    }
    StepDescription even(std::int64_t samples) const {
        auto step =
            even_step(r_.model, r_.section, r_.numerics,
                      {samples, r_.batch.length, r_.batch.tokens_per_micro_batch}, r_.ranks);
        step.base = r_.base;
        step.average = r_.average;
        return step;
    }
    /// Samples that all data ranks take in a micro-step.
    std::int64_t samples_at_once() const {
        using parallel::Axis;
        return r_.batch.tokens_per_micro_batch / r_.batch.length * whole_.mesh[Axis::shard] *
               whole_.mesh[Axis::replicate];
    }

    /// Few micro-steps stand for all: the first gathers, the last reduces, others are alike.
    StageSeconds stage(int number) const {
        std::int64_t const few =
            std::min(micro_steps_, std::max<std::int64_t>(3, r_.section.pipeline));
        std::int64_t const middle = few > 2 ? 1 : 0;
        StepDescription const step = few == micro_steps_ ? whole_ : even(samples_at_once() * few);
        RooflineClock clock(r_, step.mesh);
        int const rank = number * (r_.ranks / r_.section.pipeline);
        step_cost(r_.model, step, rank, true, &clock);
        clock.check();
        StageSeconds found{.once = clock.all()};
        for (int chunk = 0; chunk < r_.section.virtual_stages; ++chunk) {
            auto const forward = clock.at("forward", chunk, middle),
                       backward = clock.at("backward", chunk, middle),
                       weights = clock.at("weight gradient", chunk, middle);
            found.chunks.push_back({forward.sum(), backward.sum(), weights.sum()});
            for (auto const& part : {forward, backward, weights}) found.passes.add(part);
        }
        found.once.add(found.passes, -real(few));
        return found;
    }

    double passes_of(std::vector<StageSeconds> const& stages) const {
        int const chunks = r_.section.virtual_stages, count = r_.section.pipeline;
        std::vector<parallel::PartTimes> parts;
        for (int chunk = 0; chunk < chunks; ++chunk)
            for (auto const& one : stages)
                parts.push_back(one.chunks[static_cast<std::size_t>(chunk)]);
        auto const schedule =
            parallel::make_schedule(r_.section.schedule, count, chunks, micro_steps_);
        return parallel::simulate(schedule, parts, count > 1 ? transfer() : 0).makespan;
    }
    double transfer() const {
        std::int64_t const tokens =
            r_.batch.tokens_per_micro_batch / r_.batch.length * r_.batch.length;
        double const bytes = 2 * real(tokens * r_.model.hidden) / // bf16
                             real(whole_.mesh[parallel::Axis::tensor]);
        return transfer_seconds(r_.ranks / r_.section.pipeline, r_.machine, bytes) +
               r_.stack.constants.host_collective;
    }

    RooflineRequest const& r_;
    StepDescription whole_;
    std::int64_t micro_steps_;
};

} // namespace

RooflineSeconds& RooflineSeconds::add(RooflineSeconds const& o, double times) {
    products += times * o.products, attention += times * o.attention;
    elementwise += times * o.elementwise, launches += times * o.launches;
    tensor += times * o.tensor, data += times * o.data;
    return *this;
}

StepRoofline step_roofline(RooflineRequest const& request) {
    return StepModel(request).run();
}

} // namespace trireme::framework::planning
