#include "framework/evaluation/answers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>

namespace trireme::framework::evaluation {

namespace {

constexpr std::size_t kCandidates = 20;

void add_window(std::span<model::AnswerSpan const> spans, FoundAnswer& found) {
    auto const null_score = static_cast<double>(spans[0].score);
    found.null_score = found.windows.empty() ? null_score : std::min(found.null_score, null_score);
    for (auto const& span : spans.subspan(1))
        if (span.first >= 0 && !std::isnan(span.score)) // which has no place in an order
            found.candidates.push_back({data::text_at(*found.question, span.first, span.end),
                                        static_cast<double>(span.score), 0, span.first, span.end});
}

/// Best first, each stretch once, with probabilities among those that are left.
void choose(FoundAnswer& found, bool may_lack) {
    auto& all = found.candidates;
    std::ranges::sort(all, [](Candidate const& a, Candidate const& b) {
        return std::tuple(-a.score, a.first, a.end) < std::tuple(-b.score, b.first, b.end);
    });
    std::vector<Candidate> kept;
    for (auto& candidate : all) {
        auto const same = [&](Candidate const& other) {
            return other.first == candidate.first && other.end == candidate.end;
        };
        if (kept.size() < kCandidates && std::ranges::none_of(kept, same))
            kept.push_back(std::move(candidate));
    }
    all = std::move(kept);
    if (all.empty()) return;
    double const most = std::max(all[0].score, may_lack ? found.null_score : all[0].score);
    double sum = may_lack ? std::exp(found.null_score - most) : 0;
    for (auto const& candidate : all) sum += std::exp(candidate.score - most);
    for (auto& candidate : all) candidate.probability = std::exp(candidate.score - most) / sum;
    if (!may_lack || found.null_score <= all[0].score) found.text = all[0].text;
}

template <typename Value, typename Counts>
double mean(Outcome const& outcome, Value const& value, Counts const& counts) {
    double sum = 0;
    std::int64_t questions = 0;
    for (auto const& answer : answers_of(outcome)) {
        if (!counts(answer)) continue;
        ++questions;
        sum += value(answer);
    }
    return questions ? sum / static_cast<double>(questions)
                     : std::numeric_limits<double>::quiet_NaN();
}
double f1(FoundAnswer const& answer) {
    return answer.score.f1;
}
bool all(FoundAnswer const&) {
    return true;
}
bool is_there(FoundAnswer const& answer) {
    return !answer.question->answers.empty();
}

} // namespace

std::vector<FoundAnswer> answers_of(Outcome const& outcome, std::optional<bool> may_lack) {
    if (!outcome.questions) return {};
    auto const& questions = *outcome.questions;
    std::vector<FoundAnswer> found(questions.all.size());
    bool lacks = false;
    for (std::size_t q = 0; q < found.size(); ++q) {
        found[q].question = &questions.all[q];
        lacks |= questions.all[q].answers.empty();
    }
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        FoundAnswer& answer = found.at(static_cast<std::size_t>(questions.of_sample.at(i)));
        add_window(
            std::span(outcome.spans).subspan(i * model::kSpansOfWindow, model::kSpansOfWindow),
            answer);
        answer.windows.push_back(outcome.samples[i].sample);
    }
    for (auto& answer : found) {
        choose(answer, may_lack.value_or(lacks));
        answer.score = score_of_answer(answer.text, answer.question->answers);
    }
    return found;
}

double answer_exact_match(Outcome const& outcome) {
    return mean(
        outcome, [](FoundAnswer const& answer) { return answer.score.exact; }, all);
}
double answer_f1(Outcome const& outcome) {
    return mean(outcome, f1, all);
}
double answer_f1_where_there(Outcome const& outcome) {
    return mean(outcome, f1, is_there);
}
double answer_f1_where_none(Outcome const& outcome) {
    return mean(outcome, f1, [](FoundAnswer const& answer) { return !is_there(answer); });
}

nlohmann::ordered_json to_json(FoundAnswer const& answer) {
    nlohmann::ordered_json json{{"id", answer.question->id},
                                {"source", answer.question->source},
                                {"samples", answer.windows}};
    describe(answer, json);
    auto candidates = std::move(json["candidates"]);
    json.erase("candidates");
    json.update({{"exact", answer.score.exact == 1},
                 {"f1", answer.score.f1},
                 {"answers", answer.question->answers},
                 {"candidates", std::move(candidates)}});
    return json;
}

void describe(FoundAnswer const& answer, nlohmann::ordered_json& line) {
    line["prediction"] = answer.text;
    line["score"] = nullptr;
    if (!answer.candidates.empty()) line["score"] = answer.candidates[0].score;
    line["null_score"] = answer.null_score;
    auto& candidates = line["candidates"] = nlohmann::ordered_json::array();
    for (auto const& candidate : answer.candidates)
        candidates.push_back({{"text", candidate.text},
                              {"score", candidate.score},
                              {"probability", candidate.probability},
                              {"start", candidate.first},
                              {"end", candidate.end}});
}

} // namespace trireme::framework::evaluation
