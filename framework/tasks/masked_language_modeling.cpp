#include "framework/tasks/masked_language_modeling.hpp"

namespace trireme::framework::tasks {

namespace {

class MaskedLanguageModeling : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::masked_language_modeling; }
    model::HeadKind head() const override { return model::HeadKind::masked_language_model; }
    model::Findings findings() const override { return model::Findings::next_tokens; }

    void describe(Prediction const&, nlohmann::ordered_json&) const override {}
    void describe_label(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["correct"] = found.result.correct;
    }
};

} // namespace

Task const& masked_language_modeling() {
    static MaskedLanguageModeling const task;
    return task;
}

} // namespace trireme::framework::tasks
