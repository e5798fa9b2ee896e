#include "launch/text/tasks/conll.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string.hpp>
#include <nlohmann/json.hpp>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/foreign_format.hpp"
#include "cluster/line_reader.hpp"
#include "cluster/utf8.hpp"
#include "launch/text/file_kind.hpp"

namespace trireme::launch::text {

namespace {

/// Columns of a line. A mark of byte order at its beginning is no part of a word.
std::vector<std::string> columns_of(std::string line) {
    if (line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    boost::algorithm::trim_if(line, boost::algorithm::is_any_of(" \t\r"));
    std::vector<std::string> columns;
    if (!line.empty())
        boost::algorithm::split(columns, line, boost::algorithm::is_any_of(" \t"),
                                boost::algorithm::token_compress_on);
    return columns;
}

/// "# id 7", "# text = ...": a number sign as a word has a tag behind it.
bool is_comment(std::vector<std::string> const& columns) {
    std::string const& last = columns.back();
    bool const tagged = columns.size() > 1 && (last == "O" || (last.size() > 2 && last[1] == '-'));
    return columns.front() == "#" && !tagged;
}

} // namespace

bool is_conll(std::string const& file) {
    static constexpr std::array kEndings{".conll", ".iob2", ".iob", ".bio"};
    return std::ranges::any_of(kEndings, [&](auto ending) { return has_ending(file, ending); });
}

void read_conll(std::string const& file, std::function<void(Row&&)> const& each) {
    cluster::readable_size(file);
    cluster::refuse_holes(file);
    cluster::refuse_foreign_format(file);
    cluster::LineReader lines(file);
    auto words = nlohmann::ordered_json::array(), tags = words;
    std::size_t width = 0;  ///< columns of the sentence
    std::int64_t first = 0; ///< line of its first word
    auto const end_sentence = [&] {
        if (words.empty()) return;
        Row row{.file = &file, .line = first};
        row.structured = {std::move(words), std::move(tags)};
        words = tags = nlohmann::ordered_json::array();
        each(std::move(row));
    };
    for (std::string line; lines.next(line);) {
        std::int64_t const number = lines.number();
        if (!cluster::is_utf8(line))
            throw cluster::InputError(
                fmt::format("{}:{}: not UTF-8; legal: a file saved as UTF-8", file, number));
        auto const columns = columns_of(line);
        if (columns.empty() || columns.front() == "-DOCSTART-") {
            end_sentence();
            continue;
        }
        if (words.empty() && is_comment(columns)) continue;
        if (words.empty()) {
            first = number;
            width = columns.size();
        }
        if (columns.size() < 2 || columns.size() != width)
            throw cluster::InputError(fmt::format(
                "{}:{}: {}: legal: {}", file, number,
                cluster::counted(std::ssize(columns), "column"),
                columns.size() < 2 ? std::string("a word and, in the last column, its tag")
                                   : fmt::format("{}, as the sentence begins", width)));
        words.push_back(columns.front());
        tags.push_back(columns.back());
    }
    end_sentence();
}

} // namespace trireme::launch::text
