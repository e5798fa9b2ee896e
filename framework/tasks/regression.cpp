#include "framework/tasks/regression.hpp"

namespace trireme::framework::tasks {

namespace {

class Regression : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::regression; }
    model::HeadKind head() const override { return model::HeadKind::regression; }
    model::Findings findings() const override { return model::Findings::numbers; }

    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        auto const by_name = [&](std::span<float const> values) {
            auto json = nlohmann::ordered_json::object();
            for (std::size_t i = 0; i < values.size(); ++i) json[found.labels.at(i)] = values[i];
            return json; // what is not a number is null
        };
        line["targets"] = by_name(found.targets);
        line["predictions"] = by_name(found.logits);
    }
};

} // namespace

Task const& regression() {
    static Regression const task;
    return task;
}

} // namespace trireme::framework::tasks
