#include "launch/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/foreign_format.hpp"
#include "cluster/line_reader.hpp"
#include "data/json.hpp"
#include "data/json_lines.hpp"

namespace trireme::launch {

namespace {

std::string text_field(nlohmann::json const& row, std::string const& column,
                       std::string const& name) {
    if (!row.contains(column))
        throw cluster::InputError(
            fmt::format("{}: no field \"{}\"; legal: --prompt-column NAME", name, column));
    if (!row.at(column).is_string())
        throw cluster::InputError(
            fmt::format("{}: {}: {}: legal: a string", name, column, data::shown(row.at(column))));
    return row.at(column).get<std::string>();
}

void check_found(PromptTexts const& texts, std::string const& file,
                 std::string const& prompt_column, std::string const& completion_column) {
    if (texts.prompts.empty())
        throw cluster::InputError(file +
                                  ": no prompts; legal: one JSON object per line with a field \"" +
                                  prompt_column + "\"");
    bool const none =
        std::ranges::none_of(texts.references, [](auto const& x) { return x.has_value(); });
    if (none && completion_column != kCompletionColumn)
        throw cluster::InputError(
            fmt::format("{}: --completion-column: {}: no row has it; legal: a field of the rows",
                        file, completion_column));
}

} // namespace

namespace {

/// The fields of a row that hold the prompt and, unless the row has none, its completion.
struct Columns {
    std::string const &prompt, &completion;
};

/// Adds the prompt of a line of the file, which is not blank. `name`: of the line.
void add_row(PromptTexts& texts, std::string const& name, nlohmann::json const& row,
             Columns const& columns) {
    if (!row.is_object())
        throw cluster::InputError(
            fmt::format("{}: {}: legal: one JSON object per line", name, data::shown(row)));
    texts.prompts.push_back(text_field(row, columns.prompt, name));
    auto& reference = texts.references.emplace_back();
    if (row.contains(columns.completion)) reference = text_field(row, columns.completion, name);
    texts.names.push_back(name);
}

} // namespace

PromptTexts read_prompts(std::string const& file, std::string const& prompt_column,
                         std::string const& completion_column) {
    PromptTexts texts;
    cluster::refuse_foreign_format(file);
    cluster::LineReader lines(file, cluster::kMostText); // all of them are held at once
    for (std::string line; lines.next(line);) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        if (texts.prompts.empty()) data::refuse_document(file, line, lines.number());
        add_row(texts, fmt::format("{}:{}", file, lines.number()),
                data::parse_json(file, line, lines.number()), {prompt_column, completion_column});
    }
    check_found(texts, file, prompt_column, completion_column);
    return texts;
}

} // namespace trireme::launch
