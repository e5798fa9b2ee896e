#include "framework/tasks/question_answering.hpp"

namespace trireme::framework::tasks {

namespace {

/// Describes what was found in one window; framework/evaluation/answers.hpp puts the windows of a
/// question together.
class QuestionAnswering : public Task {
  public:
    data::TaskKind kind() const override { return data::TaskKind::question_answering; }
    model::HeadKind head() const override { return model::HeadKind::question_answering; }
    model::Findings findings() const override { return model::Findings::answers; }

    void describe(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["null_score"] = found.spans[0].score;
        auto& spans = line["spans"] = nlohmann::ordered_json::array();
        for (auto const& span : found.spans.subspan(1))
            if (span.first >= 0)
                spans.push_back({{"score", span.score}, {"start", span.first}, {"end", span.end}});
    }
    void describe_label(Prediction const& found, nlohmann::ordered_json& line) const override {
        line["correct"] = found.result.correct;
    }
};

} // namespace

Task const& question_answering() {
    static QuestionAnswering const task;
    return task;
}

} // namespace trireme::framework::tasks
