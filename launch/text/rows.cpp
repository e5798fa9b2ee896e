#include "launch/text/rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/line_reader.hpp"
#include "data/json.hpp"
#include "data/json_lines.hpp"
#include "launch/text/file_kind.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

/// The option of `prepare` that names a column.
char const* option_of(Columns const& columns, std::string const& name) {
    return name == columns.text   ? columns.text_option
           : name == columns.pair ? "--pair"
                                  : columns.value_option;
}

/// Labels may be words, numbers or truth values; text must be text.
std::string field(nlohmann::json const& row, std::string const& name, bool any,
                  Columns const& columns, Row const& at) {
    if (name.empty()) return {};
    auto const found = row.find(name);
    if (found == row.end()) {
        std::vector<std::string> names;
        for (auto const& [key, value] : row.items()) names.push_back(key);
        throw cluster::InputError(
            fmt::format("{}:{}: no field \"{}\"; legal: {} with a field of the line: {}", *at.file,
                        at.line, name, option_of(columns, name),
                        names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
    }
    if (found->is_string()) return found->get<std::string>();
    // A whole number of more than 64 bits is a rounded one by now, and two classes may have become
    // one.
    bool const rounded = found->is_number_float() && std::abs(found->get<double>()) >= 0x1p53;
    if (any && !rounded && (found->is_number() || found->is_boolean())) return found->dump();
    throw cluster::InputError(fmt::format(
        "{}:{}: {}: {}: legal: {}", *at.file, at.line, name, data::shown(*found),
        any ? "a string, a truth value, or a number of at most 16 digits (longer ones as strings)"
            : "a string"));
}

bool is_null(nlohmann::json const& row, std::string const& name) {
    return row.contains(name) && row.at(name).is_null();
}

void read_jsonl(std::string const& file, Columns const& columns,
                std::function<void(Row&&)> const& each) {
    cluster::LineReader lines(file);
    bool first = true;
    for (std::string line; lines.next(line);) {
        std::int64_t const number = lines.number();
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        Row row{.file = &file, .line = number};
        if (first) data::refuse_document(file, line, number);
        first = false;
        auto const json = data::parse_json(file, line, number);
        if (!json.is_object())
            throw cluster::InputError(fmt::format("{}:{}: {}: legal: one JSON object per line",
                                                  file, number, data::shown(json)));
        row.text = field(json, columns.text, false, columns, row);
        row.pair = field(json, columns.pair, false, columns, row);
        for (auto const& name : columns.values)
            row.values.push_back(columns.may_lack && is_null(json, name)
                                     ? ""
                                     : field(json, name, true, columns, row));
        row.unlabelled = columns.may_lack && std::ranges::any_of(row.values, is_blank);
        each(std::move(row));
    }
}

/// Ends the message about a line of too few cells: names the character that would have made
/// `columns` cells of it, if there is one other than `delimiter`; empty otherwise.
std::string other_delimiter(py::handle cells, char delimiter, std::size_t columns) {
    struct Delimiter {
        char character;
        char const* name;
    };
    constexpr std::array<Delimiter, 4> kKnown{
        {{',', "commas"}, {';', "semicolons"}, {'\t', "tabs"}, {'|', "bars"}}};
    std::string line;
    for (auto const cell : cells) line += cell.cast<std::string>();
    for (auto const& other : kKnown)
        if (other.character != delimiter &&
            static_cast<std::size_t>(std::ranges::count(line, other.character)) + 1 >=
                std::max<std::size_t>(2, columns))
            return fmt::format("; are its columns divided by {}? legal in a file of this name: {}",
                               other.name, delimiter == ',' ? "commas (.csv)" : "tabs (.tsv)");
    return "";
}

/// Bytes of zero are no text: they are what UTF-16 has beside each letter, and what a crash leaves.
void refuse_zeros(std::string const& cell, std::string const& file, std::int64_t line) {
    if (cell.find('\0') == std::string::npos) return;
    throw cluster::InputError(
        fmt::format("{}:{}: a byte of zero in \"{}\"; legal: text in UTF-8 (UTF-16 becomes it by "
                    "iconv -f UTF-16LE -t UTF-8)",
                    file, line, cluster::one_line(cell)));
}

/// Columns of the header by name. Throws InputError for one that is asked for and not there, or
/// there twice.
std::map<std::string, std::size_t> columns_of(std::string const& file, py::handle header,
                                              char delimiter, Columns const& asked) {
    auto const names = header.cast<std::vector<std::string>>();
    for (auto const& name : names) refuse_zeros(name, file, 1);
    for (auto const& name : names) // a .csv has lost its quotation marks by now
        if (name.size() > 1 && name.front() == '"' && name.back() == '"')
            throw cluster::InputError(
                fmt::format("{}:1: column {}: in a .tsv a quotation mark is a character of the "
                            "text; legal: a name "
                            "without it, or, where cells are quoted, a .csv with commas",
                            file, name));
    std::map<std::string, std::size_t> places;
    std::vector<std::string> read; // names of columns
    for (auto const& name : {asked.text, asked.pair})
        if (!name.empty()) read.push_back(name);
    read.insert(read.end(), asked.values.begin(), asked.values.end());
    auto const is_asked = [&](std::string const& name) {
        return std::ranges::find(read, name) != read.end();
    };
    // of those that nobody reads, spreadsheets leave several unnamed
    for (std::size_t i = 0; i < names.size(); ++i)
        if (!places.emplace(names[i], i).second && is_asked(names[i]))
            throw cluster::InputError(fmt::format(
                "{}:1: column \"{}\" stands twice in the header; legal: once", file, names[i]));
    for (auto const& name : read)
        if (!places.contains(name))
            throw cluster::InputError(
                fmt::format("{}:1: no column \"{}\"; legal: {} with a column of the header: {}{}",
                            file, name, option_of(asked, name), fmt::join(names, ", "),
                            other_delimiter(header, delimiter, names.size() + 1)));
    return places;
}

/// The first line that is not UTF-8: Python decodes in pieces that know no lines.
std::int64_t undecodable_line(std::string const& file) {
    std::ifstream in(file, std::ios::binary);
    std::string text;
    std::int64_t number = 1;
    for (; std::getline(in, text); ++number)
        if (auto const decoded = py::reinterpret_steal<py::object>(
                PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
            !decoded) {
            PyErr_Clear();
            break;
        }
    return number;
}

/// Says in our words what Python's csv and codecs found wrong.
[[noreturn]] void refuse_separated(std::string const& file, std::int64_t after,
                                   py::error_already_set const& error) {
    std::string const why = py::str(error.value());
    if (error.matches(PyExc_UnicodeDecodeError))
        throw cluster::InputError(
            fmt::format("{}:{}: not UTF-8; legal: a file saved as UTF-8; `iconv -f WINDOWS-1252 -t "
                        "UTF-8` converts a Western one",
                        file, undecodable_line(file)));
    if (why == "unexpected end of data")
        throw cluster::InputError(fmt::format("{}:{}: a quote is opened and never closed; legal: "
                                              "\"text\", and \"\" for a quote inside",
                                              file, after + 1));
    if (why.ends_with("expected after '\"'"))
        throw cluster::InputError(fmt::format("{}:{}: text after a closing quote; legal: \"text\", "
                                              "and \"\" for a quote inside, which \\\" is not",
                                              file, after + 1));
    throw cluster::InputError(fmt::format("{}:{}: {}", file, after + 1, why));
}

/// Quoting, embedded line ends and dialects are the business of Python's csv module. A first mark
/// of byte order, as spreadsheets write it, is skipped. A .tsv has no quoting, as in GLUE's files:
/// "5' 6"" is text.
py::object open_separated(std::string const& file, char delimiter) {
    py::module_ const csv = py::module_::import("csv");
    csv.attr("field_size_limit")(INT32_MAX); // a document may be one cell
    py::object const in = py::module_::import("io").attr("open")(
        py::bytes(file), py::arg("encoding") = "utf-8-sig", py::arg("newline") = "");
    bool const quoted = delimiter == ',';
    return csv.attr("reader")(
        in, py::arg("delimiter") = std::string(1, delimiter), py::arg("strict") = true,
        py::arg("quoting") = csv.attr(quoted ? "QUOTE_MINIMAL" : "QUOTE_NONE"),
        py::arg("quotechar") = quoted ? py::object(py::str("\"")) : py::object(py::none()));
}

/// The cells of a record by the columns that are asked for. `places`: of the columns.
Row row_of(py::handle record, std::map<std::string, std::size_t> const& places,
           Columns const& columns, std::string const& file, std::int64_t line) {
    auto const cell = [&](std::string const& name) {
        if (name.empty()) return std::string();
        auto text = record[py::int_(places.at(name))].cast<std::string>();
        refuse_zeros(text, file, line);
        return text;
    };
    Row row{cell(columns.text), cell(columns.pair), {}, false, &file, line};
    for (auto const& name : columns.values) row.values.push_back(cell(name));
    row.unlabelled = columns.may_lack && std::ranges::any_of(row.values, is_blank);
    return row;
}

void read_separated(std::string const& file, char const* delimiter, Columns const& columns,
                    std::function<void(Row&&)> const& each) {
    std::int64_t line = 0; ///< the last one that was read well
    try {
        py::object const reader = open_separated(file, *delimiter);
        std::map<std::string, std::size_t> places;
        std::size_t width = 0; ///< of the header
        for (py::handle const record : reader) {
            std::int64_t const first = line + 1;
            line = reader.attr("line_num").cast<std::int64_t>();
            std::size_t const cells = py::len(record);
            if (cells == 0) continue; // an empty line
            if (places.empty()) {
                places = columns_of(file, record, *delimiter, columns);
                width = cells;
                continue;
            }
            if (cells == 1 && width > 1 && is_blank(record[py::int_(0)].cast<std::string>()))
                continue;
            if (cells != width)
                throw cluster::InputError(
                    fmt::format("{}:{}: {}: legal: the {} of the header{}", file, first,
                                cluster::counted(static_cast<std::int64_t>(cells), "column"), width,
                                cells < width ? other_delimiter(record, *delimiter, width) : ""));
            each(row_of(record, places, columns, file, first));
        }
    } catch (py::error_already_set const& error) {
        refuse_separated(file, line, error);
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
