#include "framework/parallelize/layout_check.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "parallel/layer_split.hpp"
#include "parallel/pipeline_simulation.hpp"
#include "parallel/tensor_cut.hpp"

namespace trireme::framework::parallelize {

namespace {

using parallel::Axis;
using parallel::TensorCut;

TensorCut query_heads(model::Config const& model) {
    return {.dim = 0,
            .groups = model.kv_heads,
            .items = model.heads / model.kv_heads,
            .share = TensorCut::Share::divide};
}

/// Names a thing that the tensor axis divides, as a person calls it.
struct Divided {
    TensorCut cut;
    std::string what;
};
std::vector<Divided> divided_by_tensor(model::Config const& model) {
    return {{query_heads(model),
             fmt::format("{} query heads over {} kv heads", model.heads, model.kv_heads)},
            {{.dim = 0, .groups = model.feed_forward},
             fmt::format("{} feed-forward columns", model.feed_forward)},
            {{.dim = 0, .groups = model.vocabulary}, fmt::format("{} words", model.vocabulary)}};
}

bool every_rank_has_some(TensorCut const& cut, int ranks) {
    for (int rank = 0; rank < ranks; ++rank)
        if (parallel::slice_of(cut, cut.extent(), ranks, rank).real <= 0) return false;
    return true;
}

/// The first number of ranks from `from` on, in steps of `step`, with which every rank has some; 0:
/// there is none.
int nearest_ranks(TensorCut const& cut, int from, int step) {
    auto const most = static_cast<int>(std::min<std::int64_t>(cut.extent(), 1 << 16));
    for (int ranks = step < 0 ? std::min(from, most) : from; ranks >= 1 && ranks <= most;
         ranks += step)
        if (every_rank_has_some(cut, ranks)) return ranks;
    return 0;
}

void check_tensor(model::Config const& model, int ranks) {
    for (auto const& [cut, what] : divided_by_tensor(model)) {
        if (every_rank_has_some(cut, ranks)) continue;
        int const below = nearest_ranks(cut, ranks - 1, -1),
                  above = nearest_ranks(cut, ranks + 1, 1);
        throw cluster::InputError(
            fmt::format("parallel.tensor: {}: {} on {} ranks leave a rank without any; legal: {}{}",
                        ranks, what, ranks, below, above ? fmt::format(", {}", above) : ""));
    }
}

void check_virtual_stages(int stages, ParallelSection const& section) {
    int const chunks = section.virtual_stages;
    bool const interleaved = section.schedule == parallel::ScheduleKind::interleaved;
    if (interleaved && stages == 1)
        throw cluster::InputError("parallel.schedule: interleaved: pipeline is 1, so that there is "
                                  "nothing to interleave; "
                                  "legal: pipeline 2 or more, or schedule 1f1b");
    if (interleaved && chunks < 2)
        throw cluster::InputError(fmt::format(
            "parallel.virtual_stages: {}: legal: 2 or more with schedule interleaved", chunks));
    if (!interleaved && chunks != 1)
        throw cluster::InputError(
            fmt::format("parallel.virtual_stages: {}: legal: 1 with schedule {}, or schedule "
                        "interleaved",
                        chunks, name_of(section.schedule)));
}

std::string bubble_note(int stages, ParallelSection const& section, std::int64_t micro_steps) {
    auto const kind = section.schedule;
    double const share = 1.0 / section.virtual_stages;
    auto const run = parallel::simulate(
        parallel::make_schedule(kind, stages, section.virtual_stages, micro_steps),
        std::vector<parallel::PartTimes>(static_cast<std::size_t>(stages * section.virtual_stages),
                                         {share, share, share}));
    double const bubble = *std::ranges::max_element(run.bubble);
    return fmt::format("note: pipeline {} has {} micro-steps a step: with {} a stage idles {:.0f} "
                       "% of its time; lower "
                       "batch.tokens_per_micro_batch or raise batch.global for {} or more",
                       stages, micro_steps, name_of(section.schedule), 100 * bubble / (1 + bubble),
                       stages);
}

} // namespace

void check_layout(model::Config const& model, parallel::MeshShape const& shape,
                  ParallelSection const& section) {
    check_virtual_stages(shape[Axis::pipeline], section);
    static_cast<void>(parallel::layers_of_parts(static_cast<int>(model.layers),
                                                shape[Axis::pipeline], section.virtual_stages,
                                                section.layers));
    check_tensor(model, shape[Axis::tensor]);
}

namespace {

/// Says if ZeRO and the shard axis do not fit each other, or "".
std::string sharding_note(parallel::MeshShape const& shape, int zero) {
    if (zero > 0 && shape[Axis::shard] == 1)
        return fmt::format(
            "note: parallel.zero: {}: the shard axis is 1, so that nothing is sharded: {}", zero,
            shape.equation());
    if (zero == 0 && shape[Axis::shard] > 1)
        return fmt::format(
            "note: parallel.zero: 0: the {} ranks of the shard axis keep copies, as those of "
            "replicate do",
            shape[Axis::shard]);
    return "";
}

/// Says how many query heads are padding, or "".
std::string padding_note(model::Config const& model, int tensor) {
    TensorCut const queries = query_heads(model);
    std::int64_t const padded =
        parallel::slice_of(queries, queries.extent(), tensor, 0).local * tensor - model.heads;
    if (padded <= 0) return "";
    return fmt::format("note: parallel.tensor: {}: {} query heads over {} kv heads are padded by "
                       "{} heads of zeros",
                       tensor, model.heads, model.kv_heads, padded);
}

} // namespace

std::vector<std::string> layout_notes(model::Config const& model, parallel::MeshShape const& shape,
                                      ParallelSection const& section, std::int64_t micro_steps) {
    int const stages = shape[Axis::pipeline];
    std::vector<std::string> notes;
    if (stages > 1 && micro_steps < stages)
        notes.push_back(bubble_note(stages, section, micro_steps));
    for (auto const& note :
         {sharding_note(shape, section.zero), padding_note(model, shape[Axis::tensor])})
        if (!note.empty()) notes.push_back(note);
    return notes;
}

} // namespace trireme::framework::parallelize
