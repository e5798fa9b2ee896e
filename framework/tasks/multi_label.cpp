#include "framework/tasks/multi_label.hpp"

#include "data/micro_batch.hpp"
#include "framework/model/probabilities.hpp"

namespace trireme::framework::tasks {

namespace {

using Json = nlohmann::ordered_json;

class MultiLabel : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::multi_label; }
    model::HeadKind head() const override { return model::HeadKind::multi_label; }
    model::Findings findings() const override { return model::Findings::label_sets; }

    void describe(Prediction const& found, Json& line) const override {
        Json predictions = Json::array(), probabilities = Json::object();
        for (std::size_t i = 0; i < found.logits.size(); ++i) {
            if (model::is_label_found(found.logits[i], found.least_logit))
                predictions.push_back(found.labels.at(i));
            probabilities[found.labels.at(i)] =
                model::sigmoid(static_cast<double>(found.logits[i]));
        }
        line["predictions"] = predictions;
        line["probabilities"] = probabilities;
    }
    /// Labels of which it is not known whether the sample has them stand apart.
    void describe_label(Prediction const& found, Json& line) const override {
        line["correct"] = found.result.correct;
        Json labels = Json::array(), unknown = Json::array();
        for (std::size_t i = 0; i < found.targets.size(); ++i)
            if (!data::counts(found.targets[i]))
                unknown.push_back(found.labels.at(i));
            else if (found.targets[i] > 0)
                labels.push_back(found.labels.at(i));
        line["labels"] = labels;
        if (!unknown.empty()) line["unknown"] = unknown;
    }
};

} // namespace

Task const& multi_label() {
    static MultiLabel const task;
    return task;
}

} // namespace trireme::framework::tasks
