#include "launch/text/rows.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/line_reader.hpp"
#include "data/json.hpp"
#include "data/json_lines.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/json_row.hpp"
#include "launch/text/separated.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

void read_jsonl(std::string const& file, Columns const& columns,
                std::function<void(Row&&)> const& each) {
    cluster::LineReader lines(file);
    JsonRows const rows(columns, "line");
    bool first = true;
    for (std::string line; lines.next(line);) {
        std::int64_t const number = lines.number();
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        Row row{.file = &file, .line = number};
        if (first) data::refuse_document(file, line, number);
        first = false;
        auto const json = data::parse_json<nlohmann::ordered_json>(file, line, number);
        if (!json.is_object())
            throw cluster::InputError(fmt::format("{}:{}: {}: legal: one JSON object per line",
                                                  file, number, data::shown(json)));
        rows.fill(row, json);
        each(std::move(row));
    }
}

} // namespace

std::string place_of(Row const& row) {
    return fmt::format("{}:{}", *row.file, row.line);
}

bool is_quoted(std::string const& text) {
    return text.size() > 1 && text.front() == '"' && text.back() == '"';
}
bool is_quoted_late(std::string const& text) {
    auto const first = text.find_first_not_of(' ');
    return first != std::string::npos && first > 0 && is_quoted(text.substr(first));
}

bool is_blank(std::string const& text) {
    auto const first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return true;
    // others may be blanks of Unicode
    bool const ascii = static_cast<unsigned char>(text[first]) < 0x80;
    return !ascii && py::str(text).attr("isspace")().cast<bool>();
}

void read_rows(std::string const& file, Columns const& columns,
               std::function<void(Row&&)> const& each) {
    cluster::readable_size(file); // a regular file, since it is read twice
    cluster::refuse_lfs_pointer(file);
    cluster::refuse_holes(file);
    switch (kind_of_file(file)) {
    case FileKind::jsonl: return read_jsonl(file, columns, each);
    case FileKind::csv: return read_separated(file, ",", columns, each);
    case FileKind::tsv: return read_separated(file, "\t", columns, each);
    }
}

} // namespace trireme::launch::text
