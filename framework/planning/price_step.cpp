#include "framework/planning/price_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <string_view>
#include <tuple>

#include "cluster/error.hpp"
#include "framework/model/token_rows.hpp"
#include "framework/planning/call_clock.hpp"
#include "framework/planning/group_places.hpp"
#include "framework/planning/launch_price.hpp"
#include "framework/planning/step_cost.hpp"
#include "parallel/memory_class.hpp"

namespace trireme::framework::planning {

namespace {

using parallel::Axis;

/// Micro-steps of the step that is priced: the first is like all, the last adds what a step does
/// once.
constexpr std::int64_t kMicroSteps = 2;

/// Seconds at one place of a step.
struct PlaceSeconds {
    double kernels = 0, tensor = 0, data = 0;
    double all() const { return kernels + tensor + data; }
    PlaceSeconds& operator+=(PlaceSeconds const& o) {
        kernels += o.kernels, tensor += o.tensor, data += o.data;
        return *this;
    }
};

/// Runs a clock along with a step: kernels take it on, and so does waiting for a collective
/// (call_clock.hpp), which is booked where it was started.
class PricedStep : public StepWatcher {
  public:
    PricedStep(SearchRequest const& request, parallel::MeshShape const& mesh)
        : calibration_(*request.machine.machine.calibration), request_(request), mesh_(mesh),
          calls_(calibration_.overlap) {}

    void launched(Launch const& launch) override try {
        double const seconds = price(launch);
        clock_ += seconds;
        here().kernels += seconds;
    } catch (cluster::InputError const&) { // which libtorch would only warn of
        if (!trouble_) trouble_ = std::current_exception();
    }
    void call_started(std::string_view group, cluster::CallRecord const& call) override {
        auto const [ranks, stride] = group_of(group, mesh_);
        if (ranks < 2) return;
        bool const gathers = call.op == cluster::Collective::all_gather;
        double const bytes = static_cast<double>(call.count * cluster::size_of(call.dtype)) *
                             (gathers ? static_cast<double>(ranks) : 1);
        auto const seconds = collective_seconds(
            calibration_,
            {call.op, ranks, nodes_of({ranks, stride}, request_.machine.machine), bytes, 0});
        if (!seconds)
            throw cluster::InputError(
                fmt::format("calibration: no measured {} of {} ranks: legal: a machine's file of "
                            "`trireme calibrate` on as many",
                            cluster::name_of(call.op), ranks));
        calls_.start(group, call.sequence, clock_, *seconds, &here());
    }
    void call_finished(std::string_view group, std::uint64_t sequence) override {
        calls_.finish(group, sequence, clock_, [&](PlaceSeconds* place, double exposed) {
            (group.starts_with("tensor") ? place->tensor : place->data) += exposed;
        });
    }

    /// Throws what a kernel's price could not be told for.
    void check() const {
        if (trouble_) std::rethrow_exception(trouble_);
    }
    /// At a block of one micro-step.
    PlaceSeconds at(std::string_view doing, std::int64_t micro_step, std::int64_t block) const {
        auto const found = places_.find({std::string(doing), micro_step, block});
        return found == places_.end() ? PlaceSeconds{} : found->second;
    }
    /// Outside of passes.
    PlaceSeconds tail() const {
        PlaceSeconds sum;
        for (auto const& [place, seconds] : places_)
            if (std::get<1>(place) < 0) sum += seconds;
        return sum;
    }

  private:
    using Place = std::tuple<std::string, std::int64_t, std::int64_t>;
    PlaceSeconds& here() {
        auto const& place = parallel::step_place;
        return places_[{place.doing, place.micro_step, place.block}];
    }
    double price(Launch const& l) {
        auto const key = std::tuple(l.name, std::string(l.dtype), l.bytes, l.product.form,
                                    l.product.rows, l.product.inner, l.product.columns, l.tokens);
        auto const found = prices_.find(key);
        if (found != prices_.end()) return found->second;
        return prices_.emplace(key, price_anew(l)).first->second;
    }
    double price_anew(Launch const& l) const {
        auto const& model = request_.model;
        AttentionKind const attention{.causal = model.causal,
                                      .dropout = model.attention_dropout > 0,
                                      .sequence = request_.run.sequence};
        return calibration_.together * launch_seconds(calibration_, l, attention);
    }

    Calibration const& calibration_;
    SearchRequest const& request_;
    parallel::MeshShape mesh_;
    double clock_ = 0;
    std::exception_ptr trouble_;
    std::map<Place, PlaceSeconds> places_;
    CallClock<PlaceSeconds*> calls_;
    std::map<std::tuple<std::string, std::string, std::int64_t, ProductForm, std::int64_t,
                        std::int64_t, std::int64_t, std::int64_t>,
             double>
        prices_;
};

/// A step of `layers` layers without pipeline stages.
PricedStep run(SearchRequest const& r, OwnPlan const& plan, std::int64_t layers) {
    model::Config small = r.model;
    small.layers = layers;
    small.frozen.clear(); // their names are those of the whole model: an upper limit
    StepDescription step{.mesh = plan.layout.mesh, .section = plan.layout.section};
    step.mesh[Axis::pipeline] = step.section.pipeline = step.section.virtual_stages = 1;
    step.section.layers.clear();
    if (step.section.schedule == parallel::ScheduleKind::interleaved)
        step.section.schedule = parallel::ScheduleKind::one_f_one_b;
    step.numerics.compute = plan.layout.compute;
    step.tokens_per_micro_batch = plan.micro_batch * r.run.sequence;
    std::int64_t const data = step.mesh[Axis::replicate] * step.mesh[Axis::shard];
    step.lengths.assign(static_cast<std::size_t>(data * kMicroSteps * plan.micro_batch),
                        r.run.sequence);
    PricedStep priced(r, step.mesh);
    step_cost(small, step, 0, false, &priced);
    priced.check();
    return priced;
}

/// Collectives of data ranks in a forward pass are of every micro-step under ZeRO 3, in a backward
/// pass under ZeRO 2 too. Others are made once a step: these are left to the tail.
bool in_each(std::string_view doing, int zero) {
    return zero == 3 || (zero == 2 && doing != "forward");
}

PassTimes passes(PricedStep const& step, std::int64_t block, int zero) {
    auto const of = [&](char const* doing) {
        PlaceSeconds sum;
        for (std::int64_t m = 0; m < kMicroSteps; ++m) sum += step.at(doing, m, block);
        sum.kernels /= kMicroSteps, sum.tensor /= kMicroSteps;
        sum.data = in_each(doing, zero) ? sum.data / kMicroSteps : 0;
        return sum;
    };
    auto const forward = of("forward"), backward = of("backward"), weight = of("weight gradient");
    return {forward.all(), backward.all(), weight.all(),
            forward.tensor + backward.tensor + weight.tensor,
            forward.data + backward.data + weight.data};
}

TailTimes tail_of(PricedStep const& step, std::int64_t blocks, int zero) {
    auto const once = step.tail();
    TailTimes tail{once.data, once.kernels + once.tensor};
    for (auto const* doing : {"forward", "backward", "weight gradient"})
        for (std::int64_t block = 0; block < blocks && !in_each(doing, zero); ++block)
            for (std::int64_t m = 0; m < kMicroSteps; ++m)
                tail.data += step.at(doing, m, block).data;
    return tail;
}

} // namespace

BlockTimes price_blocks(SearchRequest const& request, OwnPlan const& plan) {
    constexpr std::int64_t kLayers = 3;
    int const zero = plan.layout.section.zero;
    auto const more = run(request, plan, kLayers), fewer = run(request, plan, kLayers - 1);
    // Blocks are the embeddings, the layers and the head.
    BlockTimes times{.embeddings = passes(more, 0, zero),
                     .layer = passes(more, kLayers - 1, zero),
                     .head = passes(more, kLayers + 1, zero)};
    times.last_layer =
        model::reads_one_token(request.model) ? passes(more, kLayers, zero) : times.layer;
    TailTimes const all = tail_of(more, kLayers + 2, zero),
                    without = tail_of(fewer, kLayers + 1, zero);
    times.layer_tail = {std::max(0.0, all.data - without.data),
                        std::max(0.0, all.update - without.update)};
    TailTimes const ends{std::max(0.0, all.data - kLayers * times.layer_tail.data),
                         std::max(0.0, all.update - kLayers * times.layer_tail.update)};
    // With stages of their own, tied ends have the matrix each, others about a half.
    double const share = request.run.model.tied ? 1 : 0.5;
    times.first_tail = times.last_tail = {share * ends.data, share * ends.update};
    return times;
}

} // namespace trireme::framework::planning
