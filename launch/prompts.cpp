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

PromptTexts read_prompts(std::string const& file, std::string const& prompt_column,
                         std::string const& completion_column) {
    PromptTexts texts;
    cluster::refuse_foreign_format(file);
    cluster::LineReader lines(file, cluster::kMostText); // all of them are held at once
    for (std::string line; lines.next(line);) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        std::string const name = fmt::format("{}:{}", file, lines.number());
        if (texts.prompts.empty()) data::refuse_document(file, line, lines.number());
        auto const row = data::parse_json(file, line, lines.number());
        if (!row.is_object())
            throw cluster::InputError(
                fmt::format("{}: {}: legal: one JSON object per line", name, data::shown(row)));
        texts.prompts.push_back(text_field(row, prompt_column, name));
        auto& reference = texts.references.emplace_back();
        if (row.contains(completion_column)) reference = text_field(row, completion_column, name);
        texts.names.push_back(name);
    }
    check_found(texts, file, prompt_column, completion_column);
    return texts;
}

} // namespace trireme::launch
