#include "framework/tasks/classification.hpp"

namespace trireme::framework::tasks {

namespace {

class Classification : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::classification; }
    model::HeadKind head() const override { return model::HeadKind::classification; }
    model::Findings findings() const override { return model::Findings::classes; }

    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        auto const name = [&](std::int32_t label) {
            return label < 0 ? std::string() : found.labels.at(static_cast<std::size_t>(label));
        };
        line["correct"] = found.result.correct;
        line["label"] = name(found.result.label);
        line["prediction"] = name(found.result.prediction);
        line["logits"] = std::vector(found.logits.begin(), found.logits.end());
    }
};

} // namespace

Task const& classification() {
    static Classification const task;
    return task;
}

} // namespace trireme::framework::tasks
