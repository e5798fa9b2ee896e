// Hypotheses that run a failing layout again without one thing that it has.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parity/hypotheses.hpp"

namespace trireme::framework::parity {

namespace {

/// The layout without one thing that it has, on as many ranks.
struct Without {
    char const* id;
    char const* what; ///< "with ... instead it agrees"
    Layout layout;
};

void put_on_one_stage(parallelize::ParallelSection& section) {
    section.replicate *= section.pipeline;
    section.pipeline = section.virtual_stages = 1;
    section.schedule = parallel::ScheduleKind::one_f_one_b;
    section.layers.clear();
}

std::vector<Without> variants_of(Layout const& layout) {
    std::vector<Without> all;
    auto const& p = layout.parallel;
    auto const add = [&](char const* id, char const* what, auto const& change) {
        all.push_back({id, what, layout});
        change(all.back().layout.parallel);
    };
    if (p.recompute != parallelize::Recompute::none)
        add("recomputation", "recompute none",
            [](auto& q) { q.recompute = parallelize::Recompute::none; });
    if (p.zero == 3 && p.shard > 1) add("gather", "zero 2", [](auto& q) { q.zero = 2; });
    auto const unsharded = [](auto& q) { q.zero = 0, q.replicate *= q.shard, q.shard = 1; };
    if (p.zero == 3) add(p.shard > 1 ? "shards" : "gather", "zero 0", unsharded);
    if (p.zero == 1 || p.zero == 2) add("shards", "zero 0", unsharded);
    if (p.pipeline > 1) add("stage-boundary", "no stages", put_on_one_stage);
    return all;
}

enum class Phase { forward, backward, norm, update, later };

Phase phase_of(Case const& c) {
    if (c.specimen.wrong("loss of step 1")) return Phase::forward;
    if (!c.wrong.empty()) return Phase::backward;
    if (c.specimen.wrong("norm of step 1")) return Phase::norm;
    return c.specimen.wrong("first moment") || c.specimen.wrong("weights after step 1")
               ? Phase::update
               : Phase::later;
}

/// Says what is wrong under a feature, by the phase in which it shows.
struct Texts {
    std::string_view id;
    char const *forward, *backward, *update, *later;
};
constexpr char const* kStale = "ZeRO 3 gathers weights that are not those kept: "
                               "a part is missing or in another place";
constexpr char const* kGather = "ZeRO 3 handles gradients or weights wrongly in "
                                "the backward pass: a gather or a reduce-scatter";
constexpr char const* kRecomputed =
    "the recomputed forward pass computes something else than the first";
constexpr char const* kShards = "the update of what a shard keeps, or the gather of the weights "
                                "after it, is wrong";
constexpr char const* kStages = "stages do not update as one process does";
constexpr Texts kTexts[] = {
    {"recomputation", kRecomputed, kRecomputed, kRecomputed, kRecomputed},
    {"gather", kStale, kGather, kGather, kStale},
    {"shards", "weights that shards hold are gathered wrongly",
     "the reduce-scatter of gradients over shards is wrong", kShards, kShards},
    {"stage-boundary",
     "stages hand on wrong activations, or those of another micro-batch, at a stage boundary",
     "stages hand back wrong gradients, or those of another micro-batch, at a stage boundary",
     kStages, kStages}};

std::string text_of(std::string const& id, Phase phase) {
    auto const& texts = *std::ranges::find(kTexts, id, &Texts::id);
    switch (phase) {
    case Phase::forward: return texts.forward;
    case Phase::backward: return texts.backward;
    case Phase::norm:
        return "the gradient norm leaves out or repeats parts under this feature: " + id;
    case Phase::update: return texts.update;
    case Phase::later: return texts.later;
    }
    return "";
}

/// Blocks without whose matrices the layout's first loss agrees, if some do and others do not.
std::vector<std::string> blocks_at_fault(Case const& c) {
    std::map<std::string, std::vector<std::string>> matrices;
    for (std::int64_t i = 0; i < c.lab.problem().model.layers; ++i) {
        std::string const unit =
            c.lab.spec(model::layer_names(c.lab.problem().model, i).query.weight).unit;
        for (auto const& spec : model::parameter_specs(c.lab.problem().model))
            if (spec.unit == unit && spec.shape.size() > 1) matrices[unit].push_back(spec.name);
    }
    std::vector<std::string> at_fault;
    for (auto const& [unit, names] : matrices)
        if (c.lab.agrees_without(names, c.specimen.layout)) at_fault.push_back(unit);
    return at_fault.size() == matrices.size() ? std::vector<std::string>{} : at_fault;
}

/// Says where a feature first goes wrong, as far as it can be found; takes the parameters with it.
std::string place_of(Case const& c, Phase phase, std::string const& id,
                     std::vector<std::string>& names) {
    if (phase == Phase::forward && id != "stage-boundary")
        if (auto const blocks = blocks_at_fault(c); !blocks.empty())
            return fmt::format(", in {}", fmt::join(blocks, " and "));
    if (phase != Phase::backward) return "";
    auto const back = backward_pass(c);
    if (!back) return "";
    names = back->parameters;
    return back->id == "one-gradient"
               ? "; " + back->text
               : ", from " + c.lab.spec(names.at(0)).unit + " on, on the way back";
}

} // namespace

std::optional<Cause> feature_apart(Case const& c) {
    if (c.specimen.figures.front().holds()) return {};
    std::vector<Without> right;
    for (auto const& variant : variants_of(c.specimen.layout))
        if (c.lab.examine(variant.layout).figures.front().holds()) right.push_back(variant);
    if (right.empty()) return {};
    Phase const phase = phase_of(c);
    std::string const id = right.front().id;
    std::vector<std::string> names = c.wrong, instead;
    std::string const where = place_of(c, phase, id, names);
    for (auto const& r : right) instead.push_back(r.what);
    bool const late = phase == Phase::update || phase == Phase::later;
    return Cause{id, text_of(id, phase) + where,
                 fmt::format("the layout agrees in everything with {}",
                             fmt::join(instead, ", and also with ")),
                 names, late ? 0.85 : 0.7};
}

} // namespace trireme::framework::parity
