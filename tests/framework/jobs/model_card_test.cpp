// The card of an exported model: its head is YAML with what the Hub asks for, and no text of a user
// becomes markup.
#include "framework/jobs/model_card.hpp"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

using namespace framework;

jobs::CardFacts facts() {
    jobs::CardFacts facts;
    facts.config.task = "classification";
    facts.config.model.path = "models/bert-small/";
    facts.config.data.path = "data/reviews";
    facts.checkpoint = "step-000000040";
    facts.labels = 2;
    facts.evaluation = nlohmann::ordered_json{
        {"kind", "evaluation"}, {"step", 40},     {"split", "validation"},
        {"seconds", 1.5},       {"samples", 100}, {"loss", 0.25},
        {"accuracy", 0.875},    {"time", 1.0},    {"confusion", {{1, 0}, {0, 1}}}};
    return facts;
}

YAML::Node head_of(std::string const& card) {
    EXPECT_TRUE(card.starts_with("---\n"));
    return YAML::Load(card.substr(4, card.find("\n---\n", 4) - 3));
}

TEST(ModelCard, HasWhatTheHubReads) {
    auto const head = head_of(jobs::model_card(facts()));
    EXPECT_EQ(head["library_name"].as<std::string>(), "transformers");
    EXPECT_EQ(head["base_model"].as<std::string>(), "bert-small");
    EXPECT_EQ(head["pipeline_tag"].as<std::string>(), "text-classification");
    auto const result = head["model-index"][0]["results"][0];
    EXPECT_EQ(result["dataset"]["name"].as<std::string>(), "reviews");
    ASSERT_EQ(result["metrics"].size(), 2u) << "loss and accuracy, and no time";
    EXPECT_EQ(result["metrics"][1]["type"].as<std::string>(), "accuracy");
    EXPECT_EQ(result["metrics"][1]["value"].as<double>(), 0.875);
}

TEST(ModelCard, SaysWhatIsNotKnown) {
    auto known = facts();
    EXPECT_NE(jobs::model_card(known).find("| accuracy | 0.8750 |"), std::string::npos);
    known.evaluation.reset();
    known.config.model.from_scratch = true;
    std::string const card = jobs::model_card(known);
    EXPECT_FALSE(head_of(card)["model-index"]);
    EXPECT_FALSE(head_of(card)["base_model"]) << "its weights came from nowhere";
    EXPECT_NE(card.find("The run did not evaluate these weights"), std::string::npos);
    EXPECT_NE(card.find("- **Licence**"), std::string::npos);
}

TEST(ModelCard, TextsOfAUserAreNoMarkup) {
    auto hostile = facts();
    hostile.config.model.path = "m\"o\n---\nlicense: mit\\";
    hostile.config.data.path = "data/a|b`c\n# x";
    std::string const card = jobs::model_card(hostile);
    auto const head = head_of(card);
    EXPECT_FALSE(head["license"]);
    EXPECT_EQ(head["base_model"].as<std::string>(), hostile.config.model.path);
    EXPECT_NE(card.find("| data | `a?b?c?# x` |"), std::string::npos) << card;
    EXPECT_EQ(card.find("\n# x"), std::string::npos);
}

TEST(ModelCard, IsTheSameWhateverTheLayoutAndTheFolderOfTheRun) {
    auto one = facts(), other = facts();
    other.config.run = "runs/other";
    other.config.parallel.tensor = 4;
    (*other.evaluation)["seconds"] = 9.0;
    (*other.evaluation)["time"] = 2.0;
    EXPECT_EQ(jobs::model_card(one), jobs::model_card(other));
}

TEST(ModelCard, TheLastEvaluationOfARepeatedStepCounts) {
    TemporaryFolder const run;
    std::ofstream(run.path() + "/metrics.jsonl")
        << R"({"kind":"evaluation","step":40,"loss":3.0,"time":1})"
           "\n"
        << R"({"kind":"evaluation","step":80,"loss":2.0,"time":2})"
           "\n"
        << R"({"kind":"evaluation","step":40,"loss":1.0,"time":3})"
           "\n";
    EXPECT_EQ(jobs::evaluation_at(run.path(), 40)->at("loss"), 1.0);
    EXPECT_FALSE(jobs::evaluation_at(run.path(), 60));
}

} // namespace
} // namespace trireme::test
