#include "framework/tasks/token_classification.hpp"

#include "framework/model/entities.hpp"

namespace trireme::framework::tasks {

namespace {

class TokenClassification : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::token_classification; }
    model::HeadKind head() const override { return model::HeadKind::token_classification; }
    model::Findings findings() const override { return model::Findings::token_classes; }

    /// Words are counted from 0, of those that have a label.
    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        auto const names = names_of(found, 1);
        line["predictions"] = names;
        auto& entities = line["entities"] = nlohmann::ordered_json::array();
        for (auto const& entity : model::entities_of(names))
            entities.push_back(
                {{"type", entity.type}, {"start", entity.first}, {"end", entity.last + 1}});
    }
    void describe_label(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["correct"] = found.result.correct;
        line["labels"] = names_of(found, 0);
    }

  private:
    /// `which`: 0 the labels, 1 the predictions.
    static std::vector<std::string> names_of(Prediction const& found, std::size_t which) {
        std::vector<std::string> names;
        for (std::size_t i = which; i < found.words.size(); i += 2)
            names.push_back(found.labels.at(static_cast<std::size_t>(found.words[i])));
        return names;
    }
};

} // namespace

Task const& token_classification() {
    static TokenClassification const task;
    return task;
}

} // namespace trireme::framework::tasks
