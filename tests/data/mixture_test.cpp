#include "data/mixture.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/masked_dataset.hpp"
#include "data/memory_dataset.hpp"
#include "tests/data/small_dataset.hpp"

namespace trireme::data {
namespace {

/// `count` samples of lengths 1, 2, ..., whose tokens tell the source and the sample.
std::shared_ptr<Dataset const> source(int first, int count,
                                      TaskKind task = TaskKind::classification) {
    std::vector<Sample> samples;
    for (int i = 0; i < count; ++i) samples.push_back(sample(1 + i % 4, first + i));
    return make_memory_dataset(task, samples, {"a", "b", "c"}, 100'000);
}

Mixture mixture(std::vector<double> const& weights, std::vector<int> const& sizes) {
    std::vector<Mixture::Part> parts;
    for (std::size_t i = 0; i < sizes.size(); ++i)
        parts.push_back({std::string(1, static_cast<char>('a' + i)),
                         source(static_cast<int>(100 * i), sizes[i])});
    return {std::move(parts), {{0, weights}}};
}

TEST(Mixture, OfOneSourceHasTheOrderOfTheSourceAlone) {
    auto const alone = source(0, 23);
    Mixture const mixed = mixture({5}, {23});
    for (std::int64_t cursor = 0; cursor < 100; cursor += 10)
        EXPECT_EQ(plan_step(*alone, {10, 16, 1}, 7, cursor).micro_batches,
                  plan_step(mixed, {10, 16, 1}, 7, cursor).micro_batches);
}

TEST(Mixture, ShowsEverySampleOfASourceOnceInEachOfItsEpochs) {
    Mixture const mixed = mixture({3, 1}, {5, 7});
    std::map<std::pair<std::int64_t, std::int64_t>, int> visits;
    for (std::int64_t cursor = 0; cursor < 280; ++cursor) {
        auto const [sample, epoch] = mixed.visit(11, cursor);
        visits[{sample, epoch}] += 1;
    }
    EXPECT_EQ(visits.size(), 280U); // each (sample, epoch) once
    EXPECT_EQ(mixed.drawn(280), (std::vector<std::int64_t>{210, 70}));
    for (std::int64_t epoch = 0; epoch < 10; ++epoch)
        for (std::int64_t i = 5; i < 12; ++i) EXPECT_TRUE(visits.contains({i, epoch}));
}

TEST(Mixture, SourcesOfOneSizeHaveOrdersOfTheirOwn) {
    Mixture const mixed = mixture({1, 1}, {50, 50});
    std::vector<std::int64_t> of_a, of_b;
    for (std::int64_t cursor = 0; cursor < 100; ++cursor) {
        auto const sample = mixed.visit(3, cursor).sample;
        (mixed.source_of(sample) == 0 ? of_a : of_b).push_back(sample % 50);
    }
    EXPECT_EQ(std::set<std::int64_t>(of_a.begin(), of_a.end()).size(), 50U);
    EXPECT_NE(of_a, of_b);
}

/// Computed once and kept: a run that goes on must find the same order in later versions.
TEST(Mixture, KeepsItsOrder) {
    Mixture const mixed = mixture({2, 1}, {4, 3});
    std::vector<std::int64_t> order;
    for (std::int64_t cursor = 0; cursor < 15; ++cursor)
        order.push_back(mixed.visit(42, cursor).sample);
    EXPECT_EQ(order, (std::vector<std::int64_t>{2, 5, 0, 1, 6, 3, 0, 4, 2, 3, 6, 1, 1, 4, 3}));
}

TEST(Mixture, ReadsSamplesOfAllSourcesIntoOneMicroBatch) {
    Mixture const mixed = mixture({1, 1}, {5, 7});
    MicroBatch const batch = mixed.read({1, 5, 6, 2}, 4);
    EXPECT_EQ(batch.tokens,
              (std::vector<std::int32_t>{100, 101, 10000, 10100, 10101, 200, 201, 202}));
    EXPECT_EQ(batch.offsets, (std::vector<std::int64_t>{0, 2, 3, 5, 8}));
    EXPECT_EQ(batch.sample_ids, (std::vector<std::int64_t>{1, 5, 6, 2}));
    EXPECT_EQ(batch.columns.labels_of(kClassLabel), (std::vector<std::int32_t>{1, 1, 2, 2}));
    EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{0, 1, 0, 0, 1, 0, 1, 2}));
    EXPECT_EQ(mixed.length(2), 3);
    EXPECT_EQ(mixed.class_of(6), 2);
    EXPECT_EQ(mixed.longest(), 4);
}

/// A sample of a mixture is masked by its own epoch, which is not that of the mixture.
TEST(Mixture, IsMaskedByTheEpochsOfItsSources) {
    std::vector<Sample> samples;
    for (int i = 0; i < 3; ++i) {
        Sample s = sample(40, i);
        for (int t = 0; t < 40; ++t) s.labels[kWords.name].push_back(t);
        samples.push_back(s);
    }
    auto const words = [&](int count) -> std::shared_ptr<Dataset const> {
        return make_memory_dataset(TaskKind::masked_language_modeling,
                                   {samples.begin(), samples.begin() + count}, {}, 100'000);
    };
    auto const mixed = make_masked_dataset(
        std::make_shared<Mixture>(std::vector<Mixture::Part>{{"a", words(3)}, {"b", words(2)}},
                                  std::vector<Apportionment::Stage>{{0, {9, 1}}}),
        {.seed = 1, .mask_token = 99'999});
    StepPlan const plan = plan_step(*mixed, {20, 4000, 1}, 5, 0);
    std::set<std::vector<std::int32_t>> masks; // of the samples of b: one visit each in 20 draws
    std::map<std::int64_t, int> epochs;
    for (auto const& micro_batch : plan.micro_batches)
        for (auto const id : micro_batch) {
            epochs[id / 5] += 1;
            EXPECT_TRUE(masks.insert(mixed->read({id}, 1).columns.labels_of(kTokenLabels)).second);
        }
    EXPECT_EQ(epochs,
              (std::map<std::int64_t, int>{{0, 5}, {1, 3}, {2, 3}, {3, 3}, {4, 3}, {5, 3}}));
}

Manifest manifest(TaskKind task, std::vector<std::string> labels, std::string tokenizer = "x") {
    return {
        .task = task, .labels = std::move(labels), .vocabulary = 10, .tokenizer_xxh3 = tokenizer};
}

TEST(Mixture, RefusesDataThatCannotBeLearnedTogetherNamingBoth) {
    auto const said = [](Manifest const& a, Manifest const& b) {
        return error_of([&] { check_agree("one", a, "two", b); });
    };
    Manifest const plain = manifest(TaskKind::classification, {"a", "b"});
    EXPECT_EQ(said(plain, plain), "no error");
    EXPECT_EQ(said(plain, manifest(TaskKind::classification, {"b", "a"})),
              "data.train: one and two differ in their labels: a, b / b, a; legal: data that agree "
              "in it");
    EXPECT_EQ(said(plain, manifest(TaskKind::language_modeling, {})),
              "data.train: one and two differ in their task: classification / language-modeling; "
              "legal: data that agree in it");
    EXPECT_EQ(said(manifest(TaskKind::regression, {"a"}), manifest(TaskKind::multi_label, {"a"})),
              "data.train: one and two differ in their task: regression / multi-label; legal: data "
              "that agree in it");
    EXPECT_EQ(said(plain, manifest(TaskKind::classification, {"a", "b"}, "y")),
              "data.train: one and two differ in their tokenizer: 10 tokens, XXH3 x / 10 tokens, "
              "XXH3 y; legal: data that agree in it");
    EXPECT_EQ(said(manifest(TaskKind::generation, {}), manifest(TaskKind::language_modeling, {})),
              "no error");
}

TEST(Mixture, RefusesAnEmptySource) {
    EXPECT_EQ(error_of([] {
                  mixture({1, 1}, {3, 0});
              }),
              "data.train: b: has no samples; legal: at least one");
}

TEST(Mixture, WeighsBySizeAndTemperature) {
    Section section{.train = {.sources = {{.name = "a"}, {.name = "b"}}}};
    EXPECT_EQ(stages_of(section, {900, 100}, 8).front().weights, (std::vector<double>{900, 100}));
    section.temperature = 2; // square roots: 30 and 10
    EXPECT_EQ(stages_of(section, {900, 100}, 8).front().weights,
              (std::vector<double>{750'000, 250'000}));
    section.curriculum = {{.from_step = 5, .weights = {{"b", 2}}}};
    auto const stages = stages_of(section, {900, 100}, 8);
    EXPECT_EQ(stages.back().from, 40);
    EXPECT_EQ(stages.back().weights, (std::vector<double>{0, 2}));
}

} // namespace
} // namespace trireme::data
