#include "framework/planning/layout_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "cluster/error.hpp"
#include "framework/parallelize/layout_check.hpp"

namespace trireme::framework::planning {

namespace {

using parallel::Axis;
using parallel::ScheduleKind;
using parallelize::Offload;
using parallelize::ParallelSection;
using parallelize::Recompute;

/// Data ranks of which every way to shard is tried.
constexpr int kFewRanks = 32;
/// Tokens of a micro-batch with which every kernel runs at its full rate: more gain nothing.
constexpr std::int64_t kMostTokens = 131072;

std::int64_t data_ranks(OwnPlan const& plan) {
    return plan.layout.mesh[Axis::replicate] * plan.layout.mesh[Axis::shard];
}

int ranks_of(SearchRequest const& r) {
    return static_cast<int>(r.machine.machine.nodes * r.machine.machine.gpus_per_node);
}

/// Fills in what follows from the section: mesh and micro-steps.
OwnPlan completed(SearchRequest const& r, OwnPlan plan) {
    auto const& s = plan.layout.section;
    plan.layout.mesh = {{s.pipeline, s.replicate, s.shard, 1, s.tensor}};
    plan.layout.compute = r.compute;
    plan.layout.tied = r.run.model.tied;
    plan.layout.layers = static_cast<int>(r.run.model.layers);
    plan.layout.host_state = r.gpu && s.offload == Offload::optimizer;
    plan.layout.micro_steps =
        std::max<std::int64_t>(1, r.run.global_batch / (data_ranks(plan) * plan.micro_batch));
    return plan;
}

std::string why_not(SearchRequest const& r, OwnPlan const& plan) {
    auto const each = data_ranks(plan) * plan.micro_batch;
    if (r.run.global_batch % each != 0)
        return "batch.global is no multiple of data ranks x micro-batch";
    try {
        parallelize::check_layout(r.model, plan.layout.mesh, plan.layout.section);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "";
}

/// Tries every value of one choice after the other.
class Enumeration {
  public:
    Enumeration(SearchRequest const& request, SearchResult& result)
        : r_(request), judge_(request), result_(result), ranks_(ranks_of(request)) {}

    void run() {
        for (int tensor = 1; tensor <= r_.machine.machine.gpus_per_node; ++tensor)
            for (int pipeline = 1; tensor * pipeline <= ranks_; ++pipeline) {
                if (ranks_ % (tensor * pipeline) != 0) continue;
                if (pipeline > r_.run.model.layers + 2) break;
                schedules({.pipeline = pipeline, .tensor = tensor});
            }
        std::ranges::sort(result_.fitting, {}, [](Judged const& j) { return j.time.step; });
        std::ranges::sort(result_.refused, {}, &Judged::over);
    }

  private:
    void schedules(ParallelSection section) {
        if (section.pipeline == 1) return shardings(section);
        for (auto const kind : {ScheduleKind::one_f_one_b, ScheduleKind::zero_bubble}) {
            section.schedule = kind;
            shardings(section);
        }
        section.schedule = ScheduleKind::interleaved;
        for (int chunks = 2; chunks * section.pipeline <= r_.run.model.layers; chunks *= 2) {
            section.virtual_stages = chunks;
            shardings(section);
        }
    }
    void shardings(ParallelSection section) {
        int const data = ranks_ / (section.pipeline * section.tensor);
        section.replicate = data;
        section.shard = 1;
        batches(section);
        for (int const shard : shards(data, section.tensor))
            for (int zero = 1; zero <= 3; ++zero) {
                section.zero = zero;
                section.shard = shard;
                section.replicate = data / shard;
                batches(section);
            }
    }
    /// Every divisor of a few data ranks; of many, all of them and those of 1, 2, 4 ... nodes.
    std::vector<int> shards(int data, int tensor) const {
        int const in_node = static_cast<int>(r_.machine.machine.gpus_per_node) / tensor;
        std::vector<int> all;
        for (int shard = 2; shard <= data; ++shard) {
            if (data % shard != 0) continue;
            int const nodes = std::max(1, shard / std::max(1, in_node));
            bool const whole_nodes =
                shard % std::max(1, in_node) == 0 && (nodes & (nodes - 1)) == 0;
            if (data <= kFewRanks || shard == data || whole_nodes) all.push_back(shard);
        }
        return all;
    }
    void batches(ParallelSection section) {
        std::int64_t const data = section.replicate * section.shard;
        for (std::int64_t micro = 1; data * micro <= r_.run.global_batch &&
                                     (micro == 1 || micro * r_.run.sequence <= kMostTokens);
             micro *= 2)
            for (auto const recompute : {Recompute::none, Recompute::selective, Recompute::full})
                for (auto const offload : {Offload::none, Offload::optimizer}) {
                    if (offload == Offload::optimizer && !r_.gpu) continue;
                    section.recompute = recompute;
                    section.offload = offload;
                    add(completed(r_, {{.section = section}, micro}));
                }
        if (data > r_.run.global_batch)
            ++result_.impossible["batch.global is less than the data ranks"];
    }
    void add(OwnPlan const& plan) {
        Judged judged = judge_.judge(plan);
        if (!judged.reason.empty())
            ++result_.impossible[judged.reason];
        else
            (judged.fits() ? result_.fitting : result_.refused).push_back(std::move(judged));
    }

    SearchRequest const& r_;
    Judge judge_;
    SearchResult& result_;
    int ranks_;
};

/// Changes of one thing, each for a layout that asks for less memory.
std::vector<OwnPlan> neighbours(OwnPlan const& plan) {
    std::vector<OwnPlan> all;
    auto const& s = plan.layout.section;
    int const data = static_cast<int>(data_ranks(plan));
    auto const with = [&](auto const& change) { change(all.emplace_back(plan)); };
    for (auto const recompute : {Recompute::selective, Recompute::full})
        if (recompute > s.recompute)
            with([&](OwnPlan& p) { p.layout.section.recompute = recompute; });
    for (int zero = s.zero + 1; zero <= 3 && data > 1; ++zero)
        with([&](OwnPlan& p) {
            p.layout.section.zero = zero;
            if (s.zero == 0) p.layout.section.shard = data, p.layout.section.replicate = 1;
        });
    for (std::int64_t micro = plan.micro_batch / 2; micro >= 1; micro /= 2)
        with([&](OwnPlan& p) { p.micro_batch = micro; });
    if (s.offload == Offload::none)
        with([&](OwnPlan& p) { p.layout.section.offload = Offload::optimizer; });
    return all;
}

/// Takes ranks from the data axes for tensor or pipeline.
std::vector<OwnPlan> divided(OwnPlan const& plan, std::int64_t gpus_per_node) {
    std::vector<OwnPlan> all;
    auto const& s = plan.layout.section;
    for (int factor = 2; factor <= 64; factor *= 2)
        for (bool const tensor : {true, false}) {
            OwnPlan p = plan;
            ParallelSection& section = p.layout.section;
            int& data = section.shard % factor == 0 ? section.shard : section.replicate;
            if (data % factor != 0) continue;
            data /= factor;
            (tensor ? section.tensor : section.pipeline) *= factor;
            if (section.tensor > gpus_per_node) continue;
            if (s.pipeline == 1) section.schedule = ScheduleKind::one_f_one_b;
            all.push_back(p);
        }
    return all;
}

} // namespace

Judged Judge::judge(OwnPlan plan) {
    Judged judged{.plan = completed(request_, std::move(plan))};
    judged.reason = why_not(request_, judged.plan);
    if (!judged.reason.empty()) return judged;
    judged.plan.layout.base = request_.base;
    judged.plan.layout.average = request_.average;
    auto const stages = own_memory(judged.plan.layout, profile_of(judged.plan));
    auto const fullest = std::ranges::max_element(stages, {}, &OwnMemory::total);
    judged.memory = *fullest;
    judged.stage = static_cast<int>(fullest - stages.begin());
    judged.over = fullest->total() + request_.library - request_.machine.machine.gpu.memory_bytes;
    if (judged.over <= 0)
        judged.time = own_time(request_.run, judged.plan, request_.machine.machine, request_.stack,
                               times_of(judged.plan));
    return judged;
}

BlockProfile const& Judge::profile_of(OwnPlan const& plan) {
    auto const& s = plan.layout.section;
    auto const key = std::tuple(s.tensor, plan.micro_batch, static_cast<int>(s.recompute));
    auto const found = profiles_.find(key);
    if (found != profiles_.end()) return found->second;
    return profiles_
        .emplace(key, request_.profile({s.tensor, plan.micro_batch, request_.run.sequence,
                                        s.recompute, request_.compute, request_.gpu}))
        .first->second;
}

BlockTimes const* Judge::times_of(OwnPlan const& plan) {
    if (!request_.price) return nullptr;
    auto const& s = plan.layout.section;
    auto const key = std::tuple(s.tensor, s.replicate, s.shard, s.zero, plan.micro_batch,
                                static_cast<int>(s.recompute),
                                s.pipeline > 1 && s.schedule == ScheduleKind::zero_bubble);
    auto const found = times_.find(key);
    if (found != times_.end()) return &found->second;
    return &times_.emplace(key, request_.price(request_, plan)).first->second;
}

SearchResult search_layouts(SearchRequest const& request) {
    SearchResult result;
    Enumeration(request, result).run();
    return result;
}

std::vector<Judged> remedies(SearchRequest const& request, OwnPlan const& plan) {
    Judge judge(request);
    std::vector<Judged> all;
    auto candidates = neighbours(plan);
    auto const more = divided(plan, request.machine.machine.gpus_per_node);
    candidates.insert(candidates.end(), more.begin(), more.end());
    for (auto const& candidate : candidates)
        if (Judged judged = judge.judge(candidate); judged.fits()) all.push_back(judged);
    std::ranges::sort(all, {}, [](Judged const& j) { return j.time.step; });
    return all;
}

std::string to_text(OwnPlan const& plan) {
    auto const& s = plan.layout.section;
    std::string text = fmt::format("tensor {}, pipeline {}", s.tensor, s.pipeline);
    if (s.pipeline > 1)
        text += fmt::format(" ({}{})", parallel::name_of(s.schedule),
                            s.virtual_stages > 1 ? fmt::format(" x {}", s.virtual_stages) : "");
    text += fmt::format(", replicate {}, shard {}, zero {}, recompute {}", s.replicate, s.shard,
                        s.zero, parallelize::name_of(s.recompute));
    if (s.offload != Offload::none) text += ", offload optimizer";
    return text + fmt::format(", micro-batch {}", plan.micro_batch);
}

} // namespace trireme::framework::planning
