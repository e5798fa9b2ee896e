#include "framework/config/config.hpp"
#include "framework/config/foreign_keys.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/framework/given_config.hpp"
#include "tests/support/temporary_folder.hpp"
#include <cstdlib>
#include <set>

namespace trireme::framework {
namespace {

std::string error_of(std::string const& text, std::vector<std::string> const& set = {}) {
    Given const given(text);
    try {
        config::read_config(given.path, set);
    } catch (cluster::InputError const& error) {
        std::string what = error.what();
        if (auto const at = what.find(given.path); at != std::string::npos)
            what.replace(at, given.path.size(), "FILE");
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
    EXPECT_EQ(error_of(good + "batch:\n  global: 2.5\n"),
              "FILE:8: batch.global: 2.5: legal: a whole number >= 1");
    EXPECT_EQ(error_of(good + "batch: 7\n"),
              "FILE:7: batch: 7: legal: a mapping of keys to values, one line each, indented");
    EXPECT_EQ(error_of(good + "numerics:\n  mode: slow\n"),
              "FILE:8: numerics.mode: slow: legal: bitwise, fast");
    EXPECT_EQ(error_of(good + "parallel:\n  zero: 4\n"),
              "FILE:8: parallel.zero: 4: legal: 0, 1, 2, 3");
    std::string const list =
        "a list of whole numbers >= 0, one for each part, as in [3, 4, 4, 3]; empty: an even split";
    EXPECT_EQ(error_of(good + "parallel:\n  layers_of_parts: [1, x]\n"),
              "FILE:8: parallel.layers_of_parts: a list: legal: " + list);
    EXPECT_EQ(error_of(good, {"parallel.layers_of_parts=3"}),
              "--set: parallel.layers_of_parts: 3: legal: " + list);
    EXPECT_EQ(error_of(good, {"parallel.layers_of_parts=[1, 2"}),
              "--set: parallel.layers_of_parts: [1, 2: legal: " + list);
    EXPECT_EQ(error_of(good + "parallel:\n  layers_of_parts: '[1'\n"),
              "FILE:8: parallel.layers_of_parts: [1: legal: " + list);
    EXPECT_EQ(error_of(good + "seed: 1\nseed: 2\n"), "FILE:8: seed is given twice");
    EXPECT_EQ(
        error_of("run: r\n"),
        "FILE: task: missing; legal: classification, language-modeling, generation, regression, "
        "multi-label, token-classification, question-answering, masked-language-modeling");
    EXPECT_EQ(error_of("run: [\n").substr(0, 16), "FILE:2: not YAML");
    EXPECT_EQ(error_of("- a\n"),
              "FILE: legal: a mapping of keys to values (see configs/ for complete examples)");
    EXPECT_EQ(error_of(good, {"optimizer.clip=-1"}),
              "--set: optimizer.clip: -1: legal: a number >= 0");
    EXPECT_EQ(error_of(good, {"optimizer"}),
              "--set optimizer: legal: KEY=VALUE, as in --set optimizer.learning_rate=1e-4");
    EXPECT_EQ(error_of(good, {"optimiser.clip=1"}).substr(0, 49),
              "--set: unknown key optimiser; did you mean optimi");
}

TEST(Config, NumbersAndTruthValuesAreReadAsPeopleReadThem) {
    std::string const good = kGood;
    auto const global = [&](std::string const& text) {
        Given const given(good + "batch:\n  global: " + text + "\n");
        return config::read_config(given.path, {}).batch.global;
    };
    EXPECT_EQ(global("12"), 12);
    EXPECT_EQ(global("+12"), 12);
    EXPECT_EQ(global("\"12\""), 12);
    for (auto const* text :
         {"010", "0x10", "1_000", "1,000", "1:30", "1e3", "12.0", "~", "''", "twelve"})
        EXPECT_TRUE(error_of(good + "batch:\n  global: " + text + "\n")
                        .starts_with("FILE:8: batch.global: "))
            << text;
    auto const rate = [&](std::string const& text) {
        Given const given(good + "optimizer:\n  learning_rate: " + text + "\n");
        return config::read_config(given.path, {}).optimizer.learning_rate;
    };
    EXPECT_EQ(rate("1e-4"), 1e-4);
    EXPECT_EQ(rate(".5"), 0.5);
    for (auto const* text : {".inf", "inf", "nan", "0x1p3", "1:30", "1_0.5", "00.5", "1e"})
        EXPECT_TRUE(
            error_of(good + "optimizer:\n  learning_rate: " + text + "\n").starts_with("FILE:8: "))
            << text;
    for (auto const& [text, value] :
         {std::pair{"yes", true}, {"On", true}, {"TRUE", true}, {"no", false}, {"off", false}}) {
        Given const given(good + "checkpoint:\n  async: " + text + "\n");
        EXPECT_EQ(config::read_config(given.path, {}).checkpoint.async, value) << text;
    }
    EXPECT_EQ(error_of(good + "checkpoint:\n  async: y\n"),
              "FILE:8: checkpoint.async: y: legal: true or false");
}

/// A checkpoint could not be written with it, after all the work.
TEST(Config, ATextIsUtf8) {
    std::string text = kGood;
    text.replace(0, 6, "run: r\xff");
    EXPECT_EQ(error_of(text), "FILE:1: run: r\xff: legal: a text in UTF-8");
    EXPECT_EQ(error_of(kGood, {"data.path=\xe4"}),
              "--set: data.path: \xe4: legal: a text in UTF-8");
    text.replace(0, 7, "run: \xc3\xa4");
    EXPECT_EQ(error_of(text), "no error");
}

TEST(Config, OneDocumentOfPlainValues) {
    std::string const good = kGood;
    EXPECT_EQ(error_of(good + "---\nseed: 9\n"),
              "FILE:7: a second document (after ---); legal: one");
    EXPECT_EQ(error_of(good + "seed: !!int 9\n"),
              "FILE:7: a tag (tag:yaml.org,2002:int); legal: plain values");
    EXPECT_EQ(error_of(good + "batch: !x {global: 9}\n"),
              "FILE:7: a tag (!x); legal: plain values");
    EXPECT_EQ(error_of("---\n" + good), "no error");
}

TEST(Config, AKeyOfAnotherToolOrSectionIsTold) {
    std::string const good = kGood;
    auto const meant = [&](std::string const& key) {
        std::string const line = error_of(good, {key + "=1"});
        auto const at = line.find("; did you mean ");
        return at == std::string::npos ? std::string()
                                       : line.substr(at + 15, line.find('?') - at - 15);
    };
    EXPECT_EQ(meant("per_device_train_batch_size"), "batch.global");
    EXPECT_EQ(meant("optimizer.lr"), "optimizer.learning_rate");
    EXPECT_EQ(meant("learning_rate"), "optimizer.learning_rate");
    EXPECT_EQ(meant("train.learning_rate"), "optimizer.learning_rate");
    EXPECT_EQ(meant("tensor-model-parallel-size"), "parallel.tensor");
    EXPECT_EQ(meant("optimizer.wieght_decay"), "optimizer.weight_decay");
    EXPECT_EQ(meant("logging_steps"), "");
    EXPECT_EQ(meant("zzz"), "");
}

TEST(Config, EveryForeignNameLeadsToAKeyOfOurs) {
    std::set<std::string> keys;
    for (auto const& value : config::list_values({})) keys.insert(value.key);
    for (auto const* word :
         {"lr", "max_grad_norm", "num_train_epochs", "bf16", "gradient_checkpointing", "zero_stage",
          "save_total_limit", "output_dir", "--train-iters", "early_stopping_patience"})
        EXPECT_TRUE(keys.contains(config::our_name_for(word)))
            << word << ": " << config::our_name_for(word);
}

TEST(Config, HomeAndVariablesInPathsAreExpandedOrRefused) {
    std::string const good = kGood;
    setenv("TRIREME_TEST_SCRATCH", "/scratch/me", 1);
    unsetenv("TRIREME_TEST_UNSET");
    std::string const home = std::getenv("HOME") ? std::getenv("HOME") : "";
    Given const given(good);
    EXPECT_EQ(config::read_config(given.path, {"run=$TRIREME_TEST_SCRATCH/a"}).run,
              "/scratch/me/a");
    EXPECT_EQ(config::read_config(given.path, {"data.path=${TRIREME_TEST_SCRATCH}x/~b"}).data.path,
              "/scratch/mex/~b");
    ASSERT_FALSE(home.empty());
    EXPECT_EQ(config::read_config(given.path, {"model.path=~/m"}).model.path, home + "/m");
    EXPECT_EQ(error_of(good, {"run=$TRIREME_TEST_UNSET/a"}),
              "--set: run: $TRIREME_TEST_UNSET/a: $TRIREME_TEST_UNSET is not set; legal: a path, "
              "or a variable that is "
              "set");
    EXPECT_TRUE(error_of(good, {"run=~somebody/a"})
                    .starts_with("--set: run: ~somebody/a: another user's home;"));
    EXPECT_TRUE(
        error_of(good, {"run=a/$"}).starts_with("--set: run: a/$: a $ that begins no variable;"));
}

TEST(Config, ClassesHaveWeightsByNameOrBalancedOrNone) {
    auto const of = [](std::string const& value) {
        return config::parse_config(std::string(kGood), "x.yaml", {"train.class_weights=" + value})
            .train.class_weights;
    };
    EXPECT_TRUE(of("none").none());
    EXPECT_TRUE(of("balanced").balanced);
    EXPECT_EQ(of("{bad: 2, so-so: 0.5}").by_name,
              (std::map<std::string, double>{{"bad", 2}, {"so-so", 0.5}}));
    config::Config config = config::parse_config(std::string(kGood), "x.yaml", {});
    config.train.class_weights.by_name = {{"a: b, \"c\"", 0.1}, {"\xC3\xA9", 3}};
    EXPECT_EQ(
        config::parse_config(config::to_yaml(config), "y.yaml", {}).train.class_weights.by_name,
        config.train.class_weights.by_name);
    for (auto const* bad : {"heavy", "{bad: 0}", "{bad: -1}", "{bad: .inf}", "{bad: x}", "{}",
                            "[1, 2]", "{bad: {x: 1}}"})
        EXPECT_THROW(of(bad), cluster::InputError) << bad;
    EXPECT_EQ(data::weights_of({.balanced = true}, {"a", "b", "c"}, {30, 10, 0}, "x"),
              (std::vector<double>{40.0 / 60, 2, 0})); // n / (classes that occur * count)
    EXPECT_THROW(data::weights_of({.balanced = true}, {"a", "b"}, {0, 0}, "x"),
                 cluster::InputError);
}

TEST(Config, PatternsOfNamesAreAListOfTexts) {
    auto const of = [](std::string const& value) {
        return config::parse_config(std::string(kGood), "x.yaml", {"optimizer.freeze=" + value})
            .optimizer.freeze;
    };
    EXPECT_EQ(of(R"(["*.bias", "a?"])"), (std::vector<std::string>{"*.bias", "a?"}));
    EXPECT_TRUE(of("[]").empty());
    config::Config config = config::parse_config(std::string(kGood), "x.yaml", {});
    config.optimizer.freeze = {"*: \"a\"", "[0-5]"};
    std::string const yaml = config::to_yaml(config);
    EXPECT_EQ(config::parse_config(yaml, "y.yaml", {}).optimizer.freeze, config.optimizer.freeze);
    config::Config const plain = config::parse_config(std::string(kGood), "x.yaml", {});
    EXPECT_EQ(config::differences(config::to_yaml(plain), yaml).size(), 1U);
    for (auto const* bad : {"*.bias", "[*.bias]", "[[a]]", "[\"\"]", "{a: b}", "all"})
        EXPECT_THROW(of(bad), cluster::InputError) << bad;
    EXPECT_EQ(error_of(kGood, {"optimizer.freeze=all"}),
              "--set: optimizer.freeze: all: legal: a list of patterns of parameter names in "
              "quotes, as in [\"*.embeddings.*\"]");
    EXPECT_EQ(error_of(kGood, {"data.fraction=0"}),
              "--set: data.fraction: 0: legal: a number > 0 and <= 1: the share of the training "
              "samples to learn from");
    EXPECT_EQ(error_of(kGood, {"optimizer.layer_decay=0"}),
              "--set: optimizer.layer_decay: 0: legal: a number > 0 and <= 1");
}

} // namespace
} // namespace trireme::framework
