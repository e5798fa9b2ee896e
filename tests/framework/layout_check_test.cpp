#include "framework/parallelize/layout_check.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"

namespace trireme::framework {
namespace {

using parallel::MeshShape;

model::Config model_of(std::int64_t layers, std::int64_t heads, std::int64_t kv_heads) {
    model::Config c;
    c.hidden = 64;
    c.layers = layers;
    c.heads = heads;
    c.kv_heads = kv_heads;
    c.head_size = 8;
    c.feed_forward = 100;
    c.vocabulary = 1000;
    return c;
}

struct Layout {
    MeshShape shape;
    parallelize::ParallelSection section = {};
};

std::string refusal(model::Config const& model, Layout const& layout) {
    try {
        parallelize::check_layout(model, layout.shape, layout.section);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(LayoutCheck, MorePartsThanLayers) {
    EXPECT_EQ(refusal(model_of(4, 4, 4), {{{4, 1, 1, 1, 1}}}), "accepted");
    EXPECT_EQ(refusal(model_of(4, 4, 4), {{{6, 1, 1, 1, 1}}}),
              "parallel: pipeline 6 x virtual_stages 1 = 6 parts, but the model has 4 layers; "
              "legal: pipeline 4 x "
              "virtual_stages 1 = 4");
}

TEST(LayoutCheck, VirtualStagesBelongToTheInterleavedSchedule) {
    MeshShape const two{{2, 1, 1, 1, 1}}, one{};
    EXPECT_EQ(
        refusal(model_of(4, 4, 4),
                {two, {.schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}}),
        "accepted");
    EXPECT_EQ(refusal(model_of(4, 4, 4), {two, {.schedule = parallel::ScheduleKind::interleaved}}),
              "parallel.virtual_stages: 1: legal: 2 or more with schedule interleaved");
    EXPECT_EQ(
        refusal(model_of(4, 4, 4),
                {two, {.schedule = parallel::ScheduleKind::zero_bubble, .virtual_stages = 2}}),
        "parallel.virtual_stages: 2: legal: 1 with schedule zero-bubble, or schedule interleaved");
    EXPECT_EQ(
        refusal(model_of(4, 4, 4),
                {one, {.schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}}),
        "parallel.schedule: interleaved: pipeline is 1, so that there is nothing to "
        "interleave; legal: pipeline 2 "
        "or more, or schedule 1f1b");
}

TEST(LayoutCheck, EveryTensorRankNeedsAHead) {
    for (int const tensor : {1, 2, 4, 8})
        EXPECT_EQ(refusal(model_of(4, 8, 2), {{{1, 1, 1, 1, tensor}}}), "accepted");
    EXPECT_EQ(refusal(model_of(4, 8, 2), {{{1, 1, 1, 1, 16}}}),
              "parallel.tensor: 16: 8 query heads over 2 kv heads on 16 ranks leave a rank "
              "without any; legal: 8");
    EXPECT_EQ(refusal(model_of(4, 9, 3), {{{1, 1, 1, 1, 4}}}),
              "parallel.tensor: 4: 9 query heads over 3 kv heads on 4 ranks leave a rank without "
              "any; legal: 3, 6");
    EXPECT_EQ(refusal(model_of(4, 128, 128), {{{1, 1, 1, 1, 64}}}),
              "parallel.tensor: 64: 100 feed-forward columns on 64 ranks leave a rank without any; "
              "legal: 50, 100");
}

TEST(LayoutCheck, NotesSayWhatWorksAndIsProbablyNotMeant) {
    auto const notes = [](Layout const& layout, std::int64_t micro_steps) {
        return parallelize::layout_notes(model_of(8, 9, 9), layout.shape, layout.section,
                                         micro_steps);
    };
    EXPECT_TRUE(notes({{{4, 1, 1, 1, 3}}}, 4).empty());
    EXPECT_EQ(notes({{{4, 1, 1, 1, 1}}}, 2),
              std::vector<std::string>{
                  "note: pipeline 4 has 2 micro-steps a step: with 1f1b a stage idles 60 % of its "
                  "time; lower batch.tokens_per_micro_batch or raise batch.global for 4 or more"});
    EXPECT_EQ(
        notes({{{1, 2, 1, 1, 1}}, {.zero = 2}}, 1),
        std::vector<std::string>{
            "note: parallel.zero: 2: the shard axis is 1, so that nothing is sharded: pipeline "
            "1 x replicate 2 x shard 1 x context 1 x tensor 1 = 2"});
    EXPECT_EQ(notes({{{1, 1, 2, 1, 1}}}, 1),
              std::vector<std::string>{
                  "note: parallel.zero: 0: the 2 ranks of the shard axis keep copies, as those of "
                  "replicate do"});
    EXPECT_EQ(
        notes({{{1, 1, 1, 1, 2}}}, 1),
        std::vector<std::string>{
            "note: parallel.tensor: 2: 9 query heads over 9 kv heads are padded by 1 heads of "
            "zeros"});
}

} // namespace
} // namespace trireme::framework
