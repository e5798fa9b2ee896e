#include "framework/tasks/classification.hpp"

#include <algorithm>

#include "framework/model/probabilities.hpp"

namespace trireme::framework::tasks {

namespace {

std::string name_of(Prediction const& found, std::int32_t label) {
    return label < 0 ? std::string() : found.labels.at(static_cast<std::size_t>(label));
}

class Classification : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::classification; }
    model::HeadKind head() const override { return model::HeadKind::classification; }
    model::Findings findings() const override { return model::Findings::classes; }

    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        // A sample without a label is not scored: only its logits say what was predicted.
        auto const likeliest = std::ranges::max_element(found.logits) - found.logits.begin();
        line["prediction"] =
            name_of(found, found.result.prediction >= 0 ? found.result.prediction
                                                        : static_cast<std::int32_t>(likeliest));
        auto const shares = model::softmax(found.logits);
        auto& probabilities = line["probabilities"] = nlohmann::ordered_json::object();
        for (std::size_t c = 0; c < shares.size(); ++c)
            probabilities[found.labels.at(c)] = shares[c];
        line["logits"] = std::vector(found.logits.begin(), found.logits.end());
    }
    void describe_label(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["correct"] = found.result.correct;
        line["label"] = name_of(found, found.result.label);
    }
};

} // namespace

Task const& classification() {
    static Classification const task;
    return task;
}

} // namespace trireme::framework::tasks
