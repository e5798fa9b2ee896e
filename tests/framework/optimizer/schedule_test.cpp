// Learning rates against those of transformers' and torch's schedules
// (tests/golden/make_optimizer.py).
#include "framework/optimizer/layer_decay.hpp"
#include "framework/optimizer/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "cluster/file.hpp"

namespace trireme::test {
namespace {

nlohmann::json golden() {
    return nlohmann::json::parse(cluster::read_file(TRIREME_GOLDEN "/optimizer.json"));
}

/// Compares a row that begins with step `first`; returns how many rates it holds.
int compare(nlohmann::json const& row, double rate, std::int64_t first) {
    framework::optimizer::Section section;
    section.learning_rate = rate;
    auto const names = names_of(framework::optimizer::RateSchedule{});
    auto const name = std::ranges::find(names, row.at("schedule").get<std::string>());
    EXPECT_NE(name, names.end()) << row;
    section.schedule = static_cast<framework::optimizer::RateSchedule>(name - names.begin());
    section.warmup = row.at("warmup");
    section.final_fraction = row.at("final_fraction");
    section.cooldown = row.value("cooldown", 0.0);
    std::int64_t const total = row.at("total");
    std::int64_t step = first;
    for (double const expected : row.at("rates")) {
        EXPECT_NEAR(framework::optimizer::learning_rate(section, step, total), expected, 1e-15)
            << row.at("schedule") << ", warm-up " << section.warmup << ", final fraction "
            << section.final_fraction << ", step " << step << " of " << total;
        ++step;
    }
    return static_cast<int>(step - first);
}

TEST(Schedule, EveryStepHasTheRateOfTransformers) {
    auto const all = golden();
    int rates = 0;
    for (auto const& row : all.at("schedules")) rates += compare(row, all.at("learning_rate"), 0);
    EXPECT_EQ(rates, 839);
}

TEST(Schedule, AResumedRunGoesOnWithTheRateOfItsStep) {
    auto const all = golden();
    int rates = 0;
    for (auto const& row : all.at("resumed"))
        rates += compare(row, all.at("learning_rate"), row.at("first"));
    EXPECT_EQ(rates, 90);
}

TEST(LayerDecay, EachLayerHasItsFactor) {
    framework::optimizer::Section section;
    auto const scale = [&](char const* unit) {
        return framework::optimizer::rate_scale(section, unit, 12);
    };
    EXPECT_EQ(scale("embeddings"), 1);
    section.layer_decay = 0.5;
    EXPECT_EQ(scale("head"), 1);
    EXPECT_EQ(scale("layers.11"), 0.5);
    EXPECT_EQ(scale("layers.0"), std::pow(0.5, 12));
    EXPECT_EQ(scale("embeddings"), std::pow(0.5, 13));
    EXPECT_EQ(scale("tied"), std::pow(0.5, 13));
}

} // namespace
} // namespace trireme::test
