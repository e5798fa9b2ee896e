// Sources of a mixture and its curriculum, as a configuration gives them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework {
namespace {

constexpr char const* kGood = "run: r\ntask: classification\nmodel: {path: m}\ndata:\n  path: d\n";

config::Config read(std::string const& data, std::vector<std::string> const& set = {}) {
    return config::parse_config(kGood + data, "x.yaml", set);
}

std::string mixture_error_of(std::string const& data, std::vector<std::string> const& set = {}) {
    try {
        read(data, set);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "no error";
}

TEST(MixtureConfig, ReadsTheNameOfASplitAsBefore) {
    EXPECT_EQ(read("").data.train, data::TrainData{});
    EXPECT_EQ(read("  train: more\n").data.train.split, "more");
    EXPECT_TRUE(read("", {"data.train=more"}).data.train.sources.empty());
}

TEST(MixtureConfig, ReadsSourcesOfAFileAndOfTheCommandLine) {
    setenv("TRIREME_TEST_DATA", "/scratch", 1);
    auto const given =
        read("  train:\n    - {path: $TRIREME_TEST_DATA/reviews/, weight: 3}\n    - name: general\n"
             "      split: all\n      weight: 0\n      max_epochs: 1.5\n"
             "  curriculum:\n    - {from_step: 10, weights: {general: 2}}\n");
    using Source = data::MixtureSource;
    EXPECT_EQ(given.data.train.sources,
              (std::vector<Source>{{"reviews", "/scratch/reviews/", "train", 3, 0},
                                   {"general", "", "all", 0, 1.5}}));
    EXPECT_EQ(path_of(given.data.train.sources[1], given.data), "d");
    EXPECT_EQ(given.data.curriculum, (std::vector<data::CurriculumStage>{{10, {{"general", 2}}}}));
    auto const short_form =
        read("", {"data.train=[{path: a/b}, {split: c}]", "data.temperature=3"});
    EXPECT_EQ(short_form.data.train.sources,
              (std::vector<Source>{{"b", "a/b", "train", -1, 0}, {"c", "", "c", -1, 0}}));
    EXPECT_EQ(short_form.data.temperature, 3);
}

TEST(MixtureConfig, ComesBackFromItsOwnText) {
    config::Config config;
    config.run = "r";
    config.task = "classification";
    config.model.path = "m";
    config.data.path = "d";
    config.data.train.sources = {{"a: \"b\"", "p, q", "\xC3\xA9", 0.1, 2},
                                 {"c", "", "train", 3, 0}};
    config.data.curriculum = {{7, {{"c", 1e-6}, {"a: \"b\"", 2}}}, {9, {{"c", 1}}}};
    config.data.stage_to = "/tmp/x";
    config.data.remove_staged = true;
    std::string const text = config::to_yaml(config);
    auto const again = config::parse_config(text, "y.yaml", {});
    EXPECT_EQ(again.data.train, config.data.train);
    EXPECT_EQ(again.data.curriculum, config.data.curriculum);
    EXPECT_EQ(config::to_yaml(again), text);
    EXPECT_TRUE(config::differences(text, config::to_yaml(again)).empty());
    config.data.train.sources[1].weight = 4;
    EXPECT_EQ(config::differences(text, config::to_yaml(config)).size(), 1U);
    for (auto const& value : config::list_values(config))
        EXPECT_EQ(value.value.find('\n'), std::string::npos) << value.key;
}

constexpr char const* kOne = "legal: the name of a split, or a list of 1 to 1000 sources";

TEST(MixtureConfig, EveryMistakeGetsALineThatNamesIt) {
    std::string const weight = "legal: 0 or a number from 1e-6 to 1e6";
    std::vector<std::pair<std::string, std::string>> const mistakes{
        {"  train: []\n", std::string("x.yaml:6: data.train: a list: ") + kOne},
        {"  train: {a: 1}\n", std::string("x.yaml:6: data.train: a mapping: ") + kOne},
        {"  train:\n",
         "x.yaml:6: data.train: no value: legal: the name of a split, or a list of sources, as in "
         "[{path: data/reviews, weight: 3}, {path: data/general, weight: 1, max_epochs: 2}]"},
        {"  train: [a]\n",
         "x.yaml:6: data.train[0]: a: legal: a mapping with max_epochs, name, path, split, weight"},
        {"  train: [{wieght: 1}]\n",
         "x.yaml:6: data.train[0]: unknown key wieght; legal: max_epochs, name, path, split, "
         "weight"},
        {"  train: [{weight: 1, weight: 2}]\n", "x.yaml:6: data.train[0]: weight is given twice"},
        {"  train: [{weight: -1}]\n", "x.yaml:6: data.train[0].weight: -1: " + weight},
        {"  train: [{weight: much}]\n", "x.yaml:6: data.train[0].weight: much: " + weight},
        {"  train: [{weight: .inf}]\n", "x.yaml:6: data.train[0].weight: .inf: " + weight},
        {"  train: [{weight: 1e-7}]\n", "x.yaml:6: data.train[0].weight: 1e-7: " + weight},
        {"  train: [{weight: [1]}]\n", "x.yaml:6: data.train[0].weight: a list: " + weight},
        {"  train: [{weight: 1}, {max_epochs: -2}]\n",
         "x.yaml:6: data.train[1].max_epochs: -2: legal: a number > 0; 0: no limit"},
        {"  train: [{split: ''}]\n", "x.yaml:6: data.train[0].split: : legal: a text in UTF-8"},
        {"  train: [{path: $TRIREME_NO_SUCH}]\n",
         "x.yaml:6: data.train[0].path: $TRIREME_NO_SUCH: "},
        {"  train: [{path: a}, {path: b/a}]\n",
         "x.yaml:6: data.train: two sources have the name a; legal: a name for each, as in name: "
         "a-2"},
        {"  train: [{name: a, weight: 1}, {name: b}]\n",
         "x.yaml:6: data.train: a has a weight and b has none; legal: a weight for each source, or "
         "none at all, where sizes and data.temperature decide"},
        {"  train: [{name: a, weight: 0}]\n",
         "x.yaml:6: data.train: every weight is 0; legal: at least one above 0"},
        {"  train: [{name: a, weight: 1}]\n  temperature: 2\n",
         "x.yaml:7: data.temperature: 2: legal for sources with weights: 1"},
        {"  temperature: 2\n",
         "x.yaml:6: data.temperature: 2: legal without a list of sources in data.train: 1"},
        {"  temperature: 0\n", "x.yaml:6: data.temperature: 0: legal: a number from 0.01 to 100"},
        {"  curriculum: [{from_step: 1, weights: {a: 1}}]\n",
         "x.yaml:6: data.curriculum: a list: legal without a list of sources in data.train: []"},
    };
    for (auto const& [data, says] : mistakes)
        EXPECT_EQ(mixture_error_of(data).substr(0, says.size()), says) << data;
}

TEST(MixtureConfig, EveryMistakeOfACurriculumGetsALineThatNamesIt) {
    std::vector<std::pair<std::string, std::string>> const mistakes{
        {"soon",
         ": soon: legal: a list, as in [{from_step: 1000, weights: {reviews: 1, general: 3}}]"},
        {"[1]", "[0]: 1: legal: a mapping with from_step and weights"},
        {"[{weights: {a: 1}}]",
         "[0].from_step: missing; legal: the step from which the weights hold"},
        {"[{from_step: 0, weights: {a: 1}}]",
         "[0].from_step: 0: legal: a whole number >= 1, the step from which they hold"},
        {"[{from_step: 5}]", "[0].weights: none above 0; legal: at least one above 0"},
        {"[{from_step: 5, weights: [1]}]",
         "[0].weights: a list: legal: weights by the names of sources"},
        {"[{from_step: 5, weights: {c: 1}}]", "[0].weights: c: legal: the names of sources: a, b"},
        {"[{from_step: 5, weights: {a: -1}}]",
         "[0].weights.a: -1: legal: 0 or a number from 1e-6 to 1e6"},
        {"[{from_step: 5, weights: {a: 0}}]",
         "[0].weights: none above 0; legal: at least one above 0"},
        {"[{from_step: 5, weigths: {a: 1}}]",
         "[0]: unknown key weigths; legal: from_step, weights"},
        {"[{from_step: 5, weights: {a: 1}}, {from_step: 5, weights: {b: 1}}]",
         "[1].from_step: 5: legal: more than 5, that of the stage before"},
    };
    for (auto const& [curriculum, says] : mistakes)
        EXPECT_EQ(
            mixture_error_of("  train: [{name: a}, {name: b}]\n  curriculum: " + curriculum + "\n"),
            "x.yaml:7: data.curriculum" + says);
}

} // namespace
} // namespace trireme::framework
