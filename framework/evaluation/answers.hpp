// Answers of questions, of what was found in the windows of their contexts.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/questions.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/evaluation/squad.hpp"

namespace trireme::framework::evaluation {

struct Candidate {
    std::string text;
    double score = 0, probability = 0;
    std::int32_t first = 0, end = 0; ///< bytes of the context
};

/// Holds what was found for one question. Refers to the questions of the outcome.
struct FoundAnswer {
    data::Question const* question = nullptr;
    std::string text;                  ///< empty: there is no answer
    double null_score = 0;             ///< that there is none: the least over the windows
    std::vector<Candidate> candidates; ///< the best 20 over the windows, best first
    std::vector<std::int64_t> windows; ///< samples
    AnswerScore score;
};

/// The answers of an outcome in the order of the questions; none without such. As in transformers'
/// question answering a question has no answer where that scores higher than the best one, if the
/// split has such questions, or as `may_lack` says it; else the best one counts. A question without
/// a window has none.
std::vector<FoundAnswer> answers_of(Outcome const& outcome, std::optional<bool> may_lack = {});

/// Means over questions: exact_match, f1 and the latter over those with and those without an
/// answer. Not a number over none.
double answer_exact_match(Outcome const& outcome);
double answer_f1(Outcome const& outcome);
double answer_f1_where_there(Outcome const& outcome);
double answer_f1_where_none(Outcome const& outcome);

/// {"id", "source", "samples", "prediction", "score", "null_score", "exact", "f1", "answers",
/// "candidates": [{"text", "score", "probability", "start", "end"}]}; start and end are bytes.
nlohmann::ordered_json to_json(FoundAnswer const& answer);
/// Adds those of them that are known without right answers: "prediction", "score", "null_score" and
/// "candidates".
void describe(FoundAnswer const& answer, nlohmann::ordered_json& line);

} // namespace trireme::framework::evaluation
