// Questions with their context and answers, as SQuAD has them.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/text/rows.hpp"

namespace trireme::launch::text {

struct Answer {
    std::string text;
    std::int64_t start = 0, end = 0; ///< characters of the context, the end not included
};

/// Bytes at which the characters of a text begin, and its size.
std::vector<std::size_t> places_of_characters(std::string const& text);

/// Answers of {"text": [...], "answer_start": [...]}, of {"text", "answer_start"}, or of a list of
/// such; none is legal. Each must stand in the context at the character that it names. `name`: of
/// the column, for messages. Throws InputError "FILE:LINE: what".
std::vector<Answer> answers_of(nlohmann::ordered_json const& value, std::string const& context,
                               Row const& row, std::string const& name);

/// Calls `each` for every question of a file of SQuAD, version 1.1 or 2, in order: text is the
/// question, pair its context, structured its id and its answers, and line the number of the
/// question from 1. Throws InputError "FILE: data[0].paragraphs[1].qas[2]: what".
void read_squad(std::string const& file, std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
