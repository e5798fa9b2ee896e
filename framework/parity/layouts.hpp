// Lists the layouts that a parity run proves. Pure data.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"

namespace trireme::framework::parity {

struct Layout {
    parallelize::ParallelSection parallel; ///< replicate and shard given
    std::int64_t tokens_per_micro_batch = 0;

    int data() const { return parallel.replicate * parallel.shard; }
    int ranks() const { return parallel.pipeline * data() * parallel.tensor; }
};

/// "pipeline 2 x shard 2 x tensor 2, zero 3, 1f1b, layers 3 1, recompute full, offload optimizer,
/// micro-batches of 12"; degrees of 1 and options that are off are left out.
std::string name_of(Layout const& layout);

/// Every factorisation of 1 to `most_ranks` ranks over (pipeline, replicate, shard, tensor) x ZeRO
/// stage x schedule x split of the layers (even and, with a pipeline, one that is not) x
/// recomputation x offload x packing that `model` can be laid in (layout_check.hpp). Left out as
/// the same thing twice: ZeRO 0 with a shard axis (it is a replicate axis), ZeRO 1 and 2 and
/// schedules without ranks to divide among.
std::vector<Layout> all_layouts(model::Config const& model,
                                std::vector<std::int64_t> const& packings, int most_ranks);

/// Four of 16 ranks, one for each ZeRO stage, in which every axis is 2; none for a model that they
/// do not fit.
std::vector<Layout> of_every_axis(model::Config const& model,
                                  std::vector<std::int64_t> const& packings);

/// The fewest (greedily) of them such that every mesh of 1, 2, 3, 4, 6 and 8 ranks is there, and
/// every pair of choices that any layout makes (tensor 4 with ZeRO 3, gpipe with selective
/// recomputation, ...) is made by one. Few ranks come first.
std::vector<Layout> covering(std::vector<Layout> const& layouts);

/// At least 12, at most 24 layouts of exactly `ranks` ranks, chosen in the same way; the first has
/// pipeline, tensor and shard axes with ZeRO 3 where `ranks` allows.
std::vector<Layout> covering_of_world(std::vector<Layout> const& layouts, int ranks);

/// A property that a layout has or not, in words that fit "every layout with ...".
struct Feature {
    char const* name;
    bool (*holds)(Layout const&);
};
std::vector<Feature> const& features();

} // namespace trireme::framework::parity
