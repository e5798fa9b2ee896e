// Values of a configuration: where each comes from, which differ, and what is written of them.
#include "framework/config/config.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/framework/given_config.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

TEST(Config, TheCommandLineWinsOverTheFile) {
    Given const given(std::string(kGood) + "optimizer:\n  learning_rate: 1e-3\n  clip: 2\n");
    config::Config const config =
        config::read_config(given.path, {"optimizer.learning_rate=5e-4", "seed=9"});
    EXPECT_EQ(config.optimizer.learning_rate, 5e-4);
    EXPECT_EQ(config.optimizer.clip, 2);
    EXPECT_EQ(config.seed, 9U);
}

TEST(Config, EveryValueSaysWhereItComesFrom) {
    Given const given(std::string(kGood) +
                      "optimizer:\n  learning_rate: 1e-3\n  clip: 2\n  beta1: 0.8\n");
    auto const resolved = config::read_config_with_origins(
        given.path, {"optimizer.clip=3", "batch.global=16", "seed=4"},
        {"seed=9", "batch.global=8"});
    EXPECT_EQ(resolved.config.optimizer.clip, 3);
    EXPECT_EQ(resolved.config.seed, 9U) << "the command line wins over the environment";
    auto const& origins = resolved.origins;
    EXPECT_EQ(origins.at("optimizer.learning_rate"), given.path + ":8");
    EXPECT_EQ(origins.at("optimizer.clip"), "TRIREME_SET");
    EXPECT_EQ(origins.at("seed"), "--set");
    EXPECT_EQ(origins.at("batch.global"), "--set");
    EXPECT_EQ(origins.at("optimizer.beta1"), given.path + ":10");
    EXPECT_EQ(origins.at("optimizer.beta2"), "default");
    for (auto const& value : config::list_values(resolved.config))
        EXPECT_TRUE(origins.contains(value.key)) << value.key << " has no origin";
    EXPECT_EQ(origins.size(), config::list_values(resolved.config).size());
}

TEST(Config, MistakesInTheEnvironmentAreNamedAsSuch) {
    Given const given(kGood);
    auto const error = [&](std::string const& assignment) -> std::string {
        try {
            config::read_config_with_origins(given.path, {assignment}, {});
        } catch (cluster::InputError const& e) {
            return e.what();
        }
        return "no error";
    };
    EXPECT_EQ(error("optimizer.clip=-1"), "TRIREME_SET: optimizer.clip: -1: legal: a number >= 0");
    EXPECT_EQ(error("clip"),
              "TRIREME_SET clip: legal: KEY=VALUE, as in TRIREME_SET optimizer.learning_rate=1e-4");
    EXPECT_EQ(error("optimizer.clap=1").substr(0, 40), "TRIREME_SET: unknown key optimizer.clap;");
}

TEST(Config, DifferencesAreThoseOfMeaning) {
    config::Config before, now;
    before.run = now.run = "r";
    EXPECT_TRUE(config::differences(config::to_yaml(before), config::to_yaml(now)).empty());
    EXPECT_TRUE(config::differences("a: {b: 1, c: 2}\n", "a:\n  c: 2\n  b: 1\n").empty())
        << "layout of the text is not meaning";
    now.optimizer.learning_rate = 3e-4;
    now.numerics.mode = parallelize::NumericsMode::bitwise;
    EXPECT_EQ(config::differences(config::to_yaml(before), config::to_yaml(now)),
              (std::vector<std::string>{"numerics.mode: fast -> bitwise",
                                        "optimizer.learning_rate: 5e-05 -> 0.0003"}));
    EXPECT_EQ(config::differences("a:\n  b: 1\n", "a:\n  b: 1\n  c: 2\n"),
              (std::vector<std::string>{"a.c: (no such key) -> 2"}));
    // A text of an earlier version lacks keys that came later.
    EXPECT_TRUE(config::differences("run: r\n", config::to_yaml(before)).empty());
    before.train.class_weights.by_name = {{"bad: one", 2}};
    EXPECT_EQ(config::differences("run: r\n", config::to_yaml(before)),
              (std::vector<std::string>{R"(train.class_weights: none -> {"bad: one": 2})"}));
}

TEST(Config, WhatIsWrittenIsReadBackTheSame) {
    Given const given(kGood);
    config::Config config = config::read_config(given.path, {});
    config.optimizer.learning_rate = 0.1 + 0.2; // no short decimal
    config.numerics = {parallelize::NumericsMode::bitwise, parallelize::Compute::bf16, 3};
    config.model.path = "a folder: with 'signs' # in it";
    config.parallel.layers = {1, 2, 0};
    Given const again(config::to_yaml(config));
    config::Config const back = config::read_config(again.path, {});
    EXPECT_EQ(back.optimizer.learning_rate, config.optimizer.learning_rate);
    EXPECT_EQ(back.model.path, config.model.path);
    EXPECT_EQ(back.numerics.compute, parallelize::Compute::bf16);
    EXPECT_EQ(back.parallel.layers, config.parallel.layers);
    EXPECT_EQ(config::read_config(given.path, {"parallel.layers_of_parts=[2, 1]"}).parallel.layers,
              (std::vector<int>{2, 1}));
    EXPECT_EQ(config::differences(config::to_yaml(config::read_config(given.path, {})),
                                  config::to_yaml(config))
                  .size(),
              6U);
    EXPECT_EQ(config::to_yaml(back), config::to_yaml(config));
}

} // namespace
} // namespace trireme::framework
