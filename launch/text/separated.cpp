#include "launch/text/separated.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "launch/text/json_row.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

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
    JsonRows const rows(asked, "header");
    std::vector<std::string> read; // names of columns
    for (auto const* path : rows.paths()) {
        bool const whole = std::ranges::find(names, path->name()) != names.end();
        read.push_back(whole ? path->name() : path->column());
    }
    auto const is_asked = [&](std::string const& name) {
        return std::ranges::find(read, name) != read.end();
    };
    // of those that nobody reads, spreadsheets leave several unnamed
    for (std::size_t i = 0; i < names.size(); ++i)
        if (!places.emplace(names[i], i).second && is_asked(names[i]))
            throw cluster::InputError(fmt::format(
                "{}:1: column \"{}\" stands twice in the header; legal: once", file, names[i]));
    for (auto const& name : read)
        if (!places.contains(name) &&
            std::ranges::find(asked.structured, name) == asked.structured.end())
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

/// Records of cells to rows.
class Cells {
  public:
    Cells(std::string const& file, Columns const& columns,
          std::map<std::string, std::size_t> const& places)
        : file_(file), columns_(columns), places_(places), rows_(columns, "header") {
        for (auto const* path : rows_.paths())
            plain_ = plain_ && places.contains(path->name()) && columns.structured.empty();
    }

    Row row_of(py::handle record, std::int64_t line) const {
        Row row{.file = &file_, .line = line};
        if (!plain_) {
            rows_.fill(row, object_of(record, line));
            return row;
        }
        row.text = cell(record, columns_.text, line);
        row.pair = cell(record, columns_.pair, line);
        for (auto const& name : columns_.values) row.values.push_back(cell(record, name, line));
        row.unlabelled = columns_.may_lack && std::ranges::any_of(row.values, is_blank);
        return row;
    }

  private:
    std::string cell(py::handle record, std::string const& name, std::int64_t line) const {
        if (name.empty()) return {};
        auto text = record[py::int_(places_.at(name))].cast<std::string>();
        refuse_zeros(text, file_, line);
        return text;
    }
    /// Cells of the columns that are asked for; an empty one that may be anything is null.
    nlohmann::ordered_json object_of(py::handle record, std::int64_t line) const {
        auto fields = nlohmann::ordered_json::object();
        for (auto const* path : rows_.paths())
            for (auto const& name : {path->name(), path->column()})
                if (places_.contains(name) && !fields.contains(name))
                    fields[name] = cell(record, name, line);
        for (auto const& name : columns_.structured)
            if (auto const found = fields.find(name); found != fields.end() && *found == "")
                *found = nullptr;
        return fields;
    }

    std::string const& file_;
    Columns const& columns_;
    std::map<std::string, std::size_t> const& places_;
    JsonRows rows_;
    bool plain_ = true; ///< columns alone are asked for, nothing inside them
};

} // namespace

void read_separated(std::string const& file, char const* delimiter, Columns const& columns,
                    std::function<void(Row&&)> const& each) {
    std::int64_t line = 0; ///< the last one that was read well
    try {
        py::object const reader = open_separated(file, *delimiter);
        std::map<std::string, std::size_t> places;
        std::optional<Cells> rows;
        std::size_t width = 0; ///< of the header
        for (py::handle const record : reader) {
            std::int64_t const first = line + 1;
            line = reader.attr("line_num").cast<std::int64_t>();
            std::size_t const cells = py::len(record);
            if (cells == 0) continue; // an empty line
            if (!rows) {
                places = columns_of(file, record, *delimiter, columns);
                rows.emplace(file, columns, places);
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
            each(rows->row_of(record, first));
        }
    } catch (py::error_already_set const& error) {
        refuse_separated(file, line, error);
    }
}

} // namespace trireme::launch::text
