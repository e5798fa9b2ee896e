// A part of a data set for learning curves: smaller parts lie in larger ones, and what is read is
// what the whole has.
#include "data/subset.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "data/memory_dataset.hpp"
#include "tests/data/small_dataset.hpp"

namespace trireme::data {
namespace {

constexpr int kSamples = 40;

/// Samples of lengths 1 to 4 whose first token is 100 times their number.
std::unique_ptr<Dataset> whole() {
    std::vector<Sample> samples;
    for (int i = 0; i < kSamples; ++i) samples.push_back(sample(1 + i % 4, i));
    return make_memory_dataset(TaskKind::classification, std::move(samples), {"a", "b", "c"},
                               100'000);
}

std::vector<std::int32_t> tokens(Dataset const& set, std::int64_t id) {
    return set.read({id}, 1).tokens;
}

std::int64_t number_in(std::vector<std::int32_t> const& tokens) {
    return tokens.front() / 100;
}

std::set<std::vector<std::int32_t>> contents(Dataset const& set) {
    std::set<std::vector<std::int32_t>> all;
    for (std::int64_t i = 0; i < set.size(); ++i) all.insert(tokens(set, i));
    return all;
}

TEST(Subset, SmallerPartsLieInLargerOnes) {
    std::set<std::vector<std::int32_t>> before;
    for (double const fraction : {0.1, 0.25, 0.5, 1.0}) {
        Subset const part(whole(), fraction);
        EXPECT_EQ(part.size(), static_cast<std::int64_t>(fraction * kSamples));
        auto const now = contents(part);
        EXPECT_EQ(std::ssize(now), part.size()) << "each sample once";
        EXPECT_TRUE(std::ranges::includes(now, before)) << fraction;
        before = now;
    }
    EXPECT_EQ(before, contents(*whole()));
    EXPECT_EQ(Subset(whole(), 0.001).size(), 1) << "rounded up: never empty";
}

TEST(Subset, IsNotTheBeginningOfTheData) {
    Subset const part(whole(), 0.25);
    std::vector<std::int32_t> last;
    for (std::int64_t i = 0; i < part.size(); ++i) last = tokens(part, i);
    EXPECT_GT(number_in(last), kSamples / 4) << "data are often sorted";
}

TEST(Subset, ShowsEachOfItsSamplesOnceAnEpoch) {
    Subset const part(whole(), 0.25);
    std::map<std::pair<std::int64_t, std::int64_t>, int> visits;
    for (std::int64_t cursor = 0; cursor < 3 * part.size(); ++cursor) {
        auto const [sample, epoch] = part.visit(5, cursor);
        ++visits[{sample, epoch}];
    }
    EXPECT_EQ(std::ssize(visits), 3 * part.size());
}

TEST(Subset, SaysOfASampleWhatTheWholeSays) {
    auto const all = whole();
    Subset const part(whole(), 0.5);
    std::int64_t longest = 0;
    for (std::int64_t i = 0; i < part.size(); ++i) {
        std::int64_t const number = number_in(tokens(part, i));
        EXPECT_EQ(tokens(part, i), tokens(*all, number));
        EXPECT_EQ(part.length(i), all->length(number));
        EXPECT_EQ(part.trained(i), all->trained(number));
        EXPECT_EQ(part.class_of(i), all->class_of(number));
        longest = std::max(longest, part.length(i));
    }
    EXPECT_EQ(part.longest(), longest);
    EXPECT_EQ(part.label_names(), all->label_names());
}

TEST(Subset, AnotherPartIsOtherDataToARunThatGoesOn) {
    std::set<std::string> prints{whole()->fingerprint()};
    for (double const fraction : {0.25, 0.5, 1.0})
        prints.insert(Subset(whole(), fraction).fingerprint());
    EXPECT_EQ(prints.size(), 4U);
    EXPECT_EQ(Subset(whole(), 0.5).fingerprint(), Subset(whole(), 0.5).fingerprint());
}

/// A set whose content differs from epoch to epoch, as that of masked words does.
class Changing : public Subset {
  public:
    Changing() : Subset(whole(), 1) {}
    std::int64_t in_epoch(std::int64_t sample, std::int64_t epoch) const override {
        return sample + epoch * size();
    }
    std::int64_t trained(std::int64_t id) const override {
        return 1000 * (id / size()) + id % size();
    }
};

TEST(Subset, EpochsOfTheWholeAreToldApart) {
    Changing const all;
    Subset const part(std::make_unique<Changing>(), 0.25);
    for (std::int64_t i = 0; i < part.size(); ++i) {
        std::int64_t const number = number_in(tokens(part, i));
        for (std::int64_t epoch = 0; epoch < 3; ++epoch)
            EXPECT_EQ(part.trained(part.in_epoch(i, epoch)), 1000 * epoch + number);
    }
}

} // namespace
} // namespace trireme::data
