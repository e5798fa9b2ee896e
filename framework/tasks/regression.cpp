#include "framework/tasks/regression.hpp"

namespace trireme::framework::tasks {

namespace {

class Regression : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::regression; }
    model::HeadKind head() const override { return model::HeadKind::regression; }
    model::Findings findings() const override { return model::Findings::numbers; }

    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["predictions"] = by_name(found, found.logits);
    }
    void describe_label(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["targets"] = by_name(found, found.targets);
    }

  private:
    /// Null stands for what is not a number.
    static nlohmann::ordered_json by_name(Prediction const& found, std::span<float const> values) {
        auto json = nlohmann::ordered_json::object();
        for (std::size_t i = 0; i < values.size(); ++i) json[found.labels.at(i)] = values[i];
        return json;
    }
};

} // namespace

Task const& regression() {
    static Regression const task;
    return task;
}

} // namespace trireme::framework::tasks
