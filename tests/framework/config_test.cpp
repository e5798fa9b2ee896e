#include "framework/config.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

constexpr char const* kGood = "run: r\ntask: classification\nmodel:\n  path: m\ndata:\n  path: d\n";

struct Given {
    test::TemporaryFolder folder;
    std::string path = folder.path() + "/run.yaml";
    explicit Given(std::string const& text) { cluster::write_file(path, text); }
};

std::string error_of(std::string const& text, std::vector<std::string> const& set = {}) {
    Given const given(text);
    try {
        read_config(given.path, set);
    } catch (cluster::InputError const& error) {
        std::string what = error.what();
        if (auto const at = what.find(given.path); at != std::string::npos) what.replace(at, given.path.size(), "FILE");
        return what;
    }
    return "no error";
}

TEST(Config, EveryMistakeGetsALineThatNamesIt) {
    std::string const good = kGood;
    EXPECT_EQ(error_of(good), "no error");
    EXPECT_EQ(error_of(good + "optimizer:\n  learning_rat: 1\n").substr(0, 81),
              "FILE:8: unknown key optimizer.learning_rat; did you mean optimizer.learning_rate?");
    EXPECT_EQ(error_of(good + "optimizer:\n  learning_rate: -1\n"),
              "FILE:8: optimizer.learning_rate: -1: legal: a number > 0");
    EXPECT_EQ(error_of(good + "optimizer:\n  learning_rate: .nan\n"),
              "FILE:8: optimizer.learning_rate: .nan: legal: a number > 0");
    EXPECT_EQ(error_of(good + "optimizer:\n  learning_rate: fast\n"),
              "FILE:8: optimizer.learning_rate: fast: legal: a number > 0");
    EXPECT_EQ(error_of(good + "batch:\n  global: 2.5\n"), "FILE:8: batch.global: 2.5: legal: a whole number >= 1");
    EXPECT_EQ(error_of(good + "batch: 7\n"),
              "FILE:7: batch: 7: legal: a mapping of keys to values, one line each, indented");
    EXPECT_EQ(error_of(good + "numerics:\n  mode: slow\n"), "FILE:8: numerics.mode: slow: legal: bitwise, fast");
    EXPECT_EQ(error_of(good + "parallel:\n  zero: 4\n"), "FILE:8: parallel.zero: 4: legal: 0, 1, 2, 3");
    std::string const list =
        "a list of whole numbers >= 0, one for each part, as in [3, 4, 4, 3]; empty: an even split";
    EXPECT_EQ(error_of(good + "parallel:\n  layers_of_parts: [1, x]\n"),
              "FILE:8: parallel.layers_of_parts: a list: legal: " + list);
    EXPECT_EQ(error_of(good, {"parallel.layers_of_parts=3"}), "--set: parallel.layers_of_parts: 3: legal: " + list);
    EXPECT_EQ(error_of(good + "seed: 1\nseed: 2\n"), "FILE:8: seed is given twice");
    EXPECT_EQ(error_of("run: r\n"), "FILE: task: missing; legal: classification, language-modeling, generation");
    EXPECT_EQ(error_of("run: [\n").substr(0, 16), "FILE:2: not YAML");
    EXPECT_EQ(error_of("- a\n"), "FILE: legal: a mapping of keys to values (see configs/ for complete examples)");
    EXPECT_EQ(error_of(good, {"optimizer.clip=-1"}), "--set: optimizer.clip: -1: legal: a number >= 0");
    EXPECT_EQ(error_of(good, {"optimizer"}),
              "--set optimizer: legal: KEY=VALUE, as in --set optimizer.learning_rate=1e-4");
    EXPECT_EQ(error_of(good, {"optimiser.clip=1"}).substr(0, 49), "--set: unknown key optimiser; did you mean optimi");
}

TEST(Config, TheCommandLineWinsOverTheFile) {
    Given const given(std::string(kGood) + "optimizer:\n  learning_rate: 1e-3\n  clip: 2\n");
    Config const config = read_config(given.path, {"optimizer.learning_rate=5e-4", "seed=9"});
    EXPECT_EQ(config.optimizer.learning_rate, 5e-4);
    EXPECT_EQ(config.optimizer.clip, 2);
    EXPECT_EQ(config.seed, 9U);
}

TEST(Config, EveryValueSaysWhereItComesFrom) {
    Given const given(std::string(kGood) + "optimizer:\n  learning_rate: 1e-3\n  clip: 2\n  beta1: 0.8\n");
    auto const resolved = read_config_with_origins(given.path, {"optimizer.clip=3", "batch.global=16", "seed=4"},
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
    for (auto const& value : list_values(resolved.config))
        EXPECT_TRUE(origins.contains(value.key)) << value.key << " has no origin";
    EXPECT_EQ(origins.size(), list_values(resolved.config).size());
}

TEST(Config, MistakesInTheEnvironmentAreNamedAsSuch) {
    Given const given(kGood);
    auto const error = [&](std::string const& assignment) -> std::string {
        try {
            read_config_with_origins(given.path, {assignment}, {});
        } catch (cluster::InputError const& e) {
            return e.what();
        }
        return "no error";
    };
    EXPECT_EQ(error("optimizer.clip=-1"), "TRIREME_SET: optimizer.clip: -1: legal: a number >= 0");
    EXPECT_EQ(error("clip"), "TRIREME_SET clip: legal: KEY=VALUE, as in TRIREME_SET optimizer.learning_rate=1e-4");
    EXPECT_EQ(error("optimizer.clap=1").substr(0, 40), "TRIREME_SET: unknown key optimizer.clap;");
}

TEST(Config, DifferencesAreThoseOfMeaning) {
    Config before, now;
    before.run = now.run = "r";
    EXPECT_TRUE(differences(to_yaml(before), to_yaml(now)).empty());
    EXPECT_TRUE(differences("a: {b: 1, c: 2}\n", "a:\n  c: 2\n  b: 1\n").empty())
        << "layout of the text is not meaning";
    now.optimizer.learning_rate = 3e-4;
    now.numerics.mode = NumericsMode::bitwise;
    EXPECT_EQ(differences(to_yaml(before), to_yaml(now)),
              (std::vector<std::string>{"numerics.mode: fast -> bitwise", "optimizer.learning_rate: 5e-05 -> 0.0003"}));
    EXPECT_EQ(differences("a:\n  b: 1\n", "a:\n  b: 1\n  c: 2\n"),
              (std::vector<std::string>{"a.c: (no such key) -> 2"}));
}

TEST(Config, WhatIsWrittenIsReadBackTheSame) {
    Given const given(kGood);
    Config config = read_config(given.path, {});
    config.optimizer.learning_rate = 0.1 + 0.2; // no short decimal
    config.numerics = {NumericsMode::bitwise, Compute::bf16, 3};
    config.model.path = "a folder: with 'signs' # in it";
    config.parallel.layers = {1, 2, 0};
    Given const again(to_yaml(config));
    Config const back = read_config(again.path, {});
    EXPECT_EQ(back.optimizer.learning_rate, config.optimizer.learning_rate);
    EXPECT_EQ(back.model.path, config.model.path);
    EXPECT_EQ(back.numerics.compute, Compute::bf16);
    EXPECT_EQ(back.parallel.layers, config.parallel.layers);
    EXPECT_EQ(read_config(given.path, {"parallel.layers_of_parts=[2, 1]"}).parallel.layers, (std::vector<int>{2, 1}));
    EXPECT_EQ(differences(to_yaml(read_config(given.path, {})), to_yaml(config)).size(), 6U);
    EXPECT_EQ(to_yaml(back), to_yaml(config));
}

} // namespace
} // namespace trireme::framework
