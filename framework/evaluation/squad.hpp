// Scores of answers as SQuAD defines them (Rajpurkar et al. 2016, 2018): the functions of its
// evaluation scripts, of which version 2 also knows questions without an answer.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace trireme::framework::evaluation {

/// Words of an answer in lower case, without ASCII punctuation and without a, an, the. Throws
/// JobError where the system lacks the locale C.UTF-8.
std::vector<std::string> words_of_answer(std::string_view text);

struct AnswerScore {
    double exact = 0; ///< 1: the same words as one of the right answers
    double f1 = 0;    ///< of words, the best over the right answers
};
/// `right`: none, or only such as have no words, if the question has no answer.
AnswerScore score_of_answer(std::string_view given, std::vector<std::string> const& right);

} // namespace trireme::framework::evaluation
