// Masks of masked language modelling: which words they hide, what stands there, and of what they
// are a function.
#include "data/masked_dataset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cluster/error.hpp"
#include "data/memory_dataset.hpp"

namespace trireme::data {
namespace {

constexpr std::int64_t kVocabulary = 500;
constexpr std::int32_t kMask = 3;

/// Samples of 1 to 60 words of 1 to 3 tokens between two special tokens.
std::shared_ptr<Dataset const> plain(int count = 40) {
    std::vector<Sample> samples;
    for (int i = 0; i < count; ++i) {
        Sample& s = samples.emplace_back();
        auto& words = s.labels[kWords.name];
        auto const add = [&](std::int32_t word) {
            s.tokens.push_back(10 +
                               static_cast<std::int32_t>((i * 31 + std::ssize(s.tokens)) % 400));
            words.push_back(word);
        };
        add(kIgnoredLabel);
        for (int w = 0; w <= (i * 7) % 60; ++w)
            for (int piece = 0; piece <= (i + w) % 3; ++piece) add(w);
        add(kIgnoredLabel);
    }
    return make_memory_dataset(TaskKind::masked_language_modeling, std::move(samples), {},
                               kVocabulary);
}

std::vector<std::int32_t> labels_of(MicroBatch const& batch) {
    return batch.columns.labels_of(kTokenLabels);
}

TEST(MaskedDataset, HidesWholeWordsAndNoSpecialToken) {
    auto const bare = plain();
    auto const set =
        make_masked_dataset(bare, {.probability = 0.15, .seed = 5, .mask_token = kMask});
    for (std::int64_t i = 0; i < set->size(); ++i) {
        MicroBatch const was = bare->read({i}, 1), is = set->read({i}, 1);
        auto const& words = was.columns.labels_of(kWords);
        EXPECT_TRUE(is.columns.labels_of(kWords).empty());
        std::map<std::int32_t, bool> hidden;
        std::int64_t trained = 0;
        for (std::size_t t = 0; t < words.size(); ++t) {
            bool const here = counts(labels_of(is)[t]);
            trained += here;
            if (words[t] < 0) {
                EXPECT_FALSE(here);
            } else {
                EXPECT_EQ(hidden.try_emplace(words[t], here).first->second, here);
            }
            if (here)
                EXPECT_EQ(labels_of(is)[t], was.tokens[t]);
            else
                EXPECT_EQ(is.tokens[t], was.tokens[t]);
        }
        std::int64_t count = 0;
        for (auto const& [word, here] : hidden) count += here;
        EXPECT_EQ(count, std::max(1L, std::lround(0.15 * static_cast<double>(hidden.size()))));
        EXPECT_EQ(set->trained(i), trained);
        EXPECT_EQ(is.columns.counted(), trained);
    }
}

TEST(MaskedDataset, IsAFunctionOfSeedSampleAndEpochAlone) {
    auto const bare = plain();
    Masking const masking{.seed = 5, .mask_token = kMask};
    auto const set = make_masked_dataset(bare, masking), again = make_masked_dataset(bare, masking);
    MicroBatch const all = set->read({7, 12, 3}, 64);
    EXPECT_EQ(all.token_count() % 64, 0);
    EXPECT_EQ(std::ssize(labels_of(all)), all.token_count());
    EXPECT_FALSE(counts(labels_of(all).back()));
    MicroBatch const one = again->read({12}, 1);
    for (std::int64_t t = 0; t < one.token_count(); ++t) {
        auto const here = static_cast<std::size_t>(all.offsets[1] + t),
                   there = static_cast<std::size_t>(t);
        EXPECT_EQ(all.tokens[here], one.tokens[there]);
        EXPECT_EQ(labels_of(all)[here], labels_of(one)[there]);
    }
    std::int64_t const later = set->in_epoch(12, 1);
    MicroBatch const second = set->read({later}, 1);
    EXPECT_EQ(second.sample_ids, std::vector<std::int64_t>{12});
    EXPECT_NE(labels_of(second), labels_of(one));
    EXPECT_EQ(set->length(later), set->length(12));
    EXPECT_NE(labels_of(make_masked_dataset(bare, {.seed = 6, .mask_token = kMask})->read({12}, 1)),
              labels_of(one));
}

TEST(MaskedDataset, ShowsTheMaskAnyTokenOrTheOwn) {
    auto const bare = plain(600);
    auto const set =
        make_masked_dataset(bare, {.probability = 0.5, .seed = 1, .mask_token = kMask});
    double all = 0, masks = 0, own = 0;
    for (std::int64_t i = 0; i < set->size(); ++i) {
        MicroBatch const is = set->read({i}, 1);
        for (std::size_t t = 0; t < is.tokens.size(); ++t) {
            auto const label = labels_of(is)[t];
            if (!counts(label)) continue;
            ++all;
            masks += is.tokens[t] == kMask;
            own += is.tokens[t] == label;
            EXPECT_GE(is.tokens[t], 0);
            EXPECT_LT(is.tokens[t], kVocabulary);
        }
    }
    ASSERT_GT(all, 10000);
    EXPECT_NEAR(masks / all, 0.8, 0.015);
    EXPECT_NEAR(own / all, 0.1, 0.015);
}

TEST(MaskedDataset, ANumberOfAWordBeyondTheTokensIsRefused) {
    std::vector<Sample> samples(1);
    samples[0].tokens = {10, 11, 12};
    samples[0].labels[kWords.name] = {0, 1, 3};
    auto const set = make_masked_dataset(make_memory_dataset(TaskKind::masked_language_modeling,
                                                             std::move(samples), {}, kVocabulary),
                                         {.mask_token = kMask});
    EXPECT_THROW(set->read({0}, 1), cluster::JobError);
    EXPECT_THROW(set->trained(0), cluster::JobError);
}

TEST(MaskedDataset, PlansCountTheLabelsOfTheirEpoch) {
    auto const set = make_masked_dataset(plain(), {.seed = 9, .mask_token = kMask});
    BatchShape const shape{12, 200, 1};
    std::vector<std::int64_t> seen;
    for (std::int64_t step = 0; step < 7; ++step) { // two epochs
        StepPlan const plan = plan_step(*set, shape, 4, step * shape.samples);
        std::int64_t trained = 0, tokens = 0;
        for (auto const& ids : plan.micro_batches) {
            MicroBatch const batch = set->read(ids, 1);
            trained += batch.columns.counted();
            tokens += batch.token_count();
            seen.insert(seen.end(), ids.begin(), ids.end());
        }
        EXPECT_EQ(plan.trained, trained);
        EXPECT_EQ(plan.tokens, tokens);
    }
    std::ranges::sort(seen); // each sample of the first epoch once, then those of the second
    EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
    EXPECT_EQ(seen.at(39), 39);
    EXPECT_GE(seen.at(40), 40);
    for (auto const& plan : plan_evaluation(*set, shape))
        for (auto const& ids : plan.micro_batches)
            for (auto const id : ids) EXPECT_LT(id, 40);
}

/// Data that note what is read of them, and of which plans need no more than one column.
class NotedDataset : public Dataset {
  public:
    explicit NotedDataset(std::shared_ptr<Dataset const> inner) : inner_(std::move(inner)) {}
    std::int64_t size() const override { return inner_->size(); }
    std::int64_t length(std::int64_t id) const override { return inner_->length(id); }
    std::int64_t trained(std::int64_t id) const override { return inner_->trained(id); }
    std::vector<std::int32_t> values_of(std::int64_t id, TaskColumn const& column) const override {
        ++columns;
        return inner_->values_of(id, column);
    }
    std::int64_t longest() const override { return inner_->longest(); }
    std::string const& fingerprint() const override { return inner_->fingerprint(); }
    std::vector<std::string> const& label_names() const override { return inner_->label_names(); }
    std::int64_t vocabulary() const override { return inner_->vocabulary(); }
    std::int64_t segments() const override { return inner_->segments(); }
    TaskSchema const& task() const override { return inner_->task(); }
    void verify(int part, int parts) const override { inner_->verify(part, parts); }
    MicroBatch read(std::vector<std::int64_t> const& ids, std::int64_t multiple) const override {
        ++whole;
        return inner_->read(ids, multiple);
    }
    mutable int columns = 0, whole = 0;

  private:
    std::shared_ptr<Dataset const> inner_;
};

TEST(MaskedDataset, PlansReadNoSampleWholeAndThoseOfEvaluationNothing) {
    auto noted = std::make_shared<NotedDataset>(plain());
    auto const set = make_masked_dataset(noted, {.seed = 9, .mask_token = kMask});
    plan_evaluation(*set, {12, 200, 1});
    EXPECT_EQ(noted->columns + noted->whole, 0);
    EXPECT_GT(plan_step(*set, {12, 200, 1}, 4, 0).trained, 0);
    EXPECT_EQ(noted->columns, 12);
    EXPECT_EQ(noted->whole, 0);
}

} // namespace
} // namespace trireme::data
