#include "launch/text/separated.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/utf8.hpp"
#include "launch/text/json_row.hpp"
#include "launch/text/text_lines.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

struct Delimiter {
    char character;
    char const* name;
};
constexpr std::array<Delimiter, 4> kDelimiters{
    {{',', "commas"}, {';', "semicolons"}, {'\t', "tabs"}, {'|', "bars"}}};

/// Ends the message about a line of too few cells: names the character that would have made
/// `columns` cells of it, if there is one other than `delimiter`; empty otherwise.
std::string other_delimiter(py::handle cells, char delimiter, std::size_t columns) {
    std::string line;
    for (auto const cell : cells) line += cell.cast<std::string>();
    for (auto const& other : kDelimiters)
        if (other.character != delimiter &&
            static_cast<std::size_t>(std::ranges::count(line, other.character)) + 1 >=
                std::max<std::size_t>(2, columns))
            return fmt::format("; are its columns divided by {}? legal in a file of this name: {}",
                               other.name, delimiter == ',' ? "commas (.csv)" : "tabs (.tsv)");
    return "";
}

/// Columns of the header by name. Throws InputError for one that is asked for and not there, or
/// there twice.
std::map<std::string, std::size_t> places_of_columns(std::string const& file, py::handle header,
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
std::int64_t undecodable_line(std::string const& file, Packing packing) {
    TextLines lines(file, packing);
    for (std::string text; lines.next(text);)
        if (!cluster::is_utf8(text)) break;
    return lines.number();
}

/// Says in our words what Python's csv and codecs found wrong.
[[noreturn]] void refuse_separated(std::string const& file, Packing packing, std::int64_t after,
                                   py::error_already_set const& error) {
    if (is_of_packing(error)) refuse_packed(file, packing, error);
    std::string const why = py::str(error.value());
    if (error.matches(PyExc_UnicodeDecodeError))
        refuse_encoding(file, undecodable_line(file, packing));
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

/// Quoting, embedded line ends and dialects are the business of Python's csv module. A .tsv has no
/// quoting, as in GLUE's files: "5' 6"" is text.
py::object records_of(py::handle lines, char delimiter, bool quoted) {
    py::module_ const csv = py::module_::import("csv");
    csv.attr("field_size_limit")(INT32_MAX); // a document may be one cell
    return csv.attr("reader")(
        lines, py::arg("delimiter") = std::string(1, delimiter), py::arg("strict") = true,
        py::arg("quoting") = csv.attr(quoted ? "QUOTE_MINIMAL" : "QUOTE_NONE"),
        py::arg("quotechar") = quoted ? py::object(py::str("\"")) : py::object(py::none()));
}

/// A first mark of byte order, as spreadsheets write it, is skipped.
py::object open_separated(std::string const& file, NamedKind kind, char delimiter) {
    py::object const bytes = open_bytes(file, kind.packing);
    if (kind.packing != Packing::none) refuse_foreign_content(file, bytes);
    py::object const in = py::module_::import("io").attr("TextIOWrapper")(
        bytes, py::arg("encoding") = "utf-8-sig", py::arg("newline") = "");
    return records_of(in, delimiter, kind.kind == FileKind::csv);
}

/// Names in a header that is divided by `delimiter`; none where one has a line end in it, since the
/// header is more than this line then.
std::vector<std::string> names_in_header(std::string const& header, char delimiter, bool quoted) {
    py::list line;
    line.append(py::str(header.data(), header.size()));
    std::vector<std::string> names;
    try {
        py::object const records = records_of(line, delimiter, quoted);
        for (py::handle const record : records) names = record.cast<std::vector<std::string>>();
    } catch (py::error_already_set const&) {
        return {};
    }
    return names;
}

/// Counts the columns that are asked for in a header that is divided by `delimiter`.
int known_columns(std::string const& header, char delimiter, Columns const& columns) {
    auto const names = names_in_header(header, delimiter, true);
    int known = 0;
    JsonRows const rows(columns, "header");
    for (auto const* path : rows.paths())
        known += std::ranges::any_of(
            names, [&](auto const& n) { return n == path->name() || n == path->column(); });
    return known;
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

Header header_of(std::string const& file, NamedKind kind, Columns const& columns) {
    TextLines lines(file, kind.packing);
    std::string line;
    bool const there = lines.next(line);
    Header header{.delimiter = kind.kind == FileKind::csv ? ',' : '\t', .marked = lines.marked()};
    if (!there || header.delimiter == '\t' || !cluster::is_utf8(line)) return header;
    if (line.ends_with('\r')) line.pop_back();
    int most = 0;
    for (auto const& [character, name] : kDelimiters)
        if (int const known = known_columns(line, character, columns); known > most) {
            most = known;
            header.delimiter = character, header.divided_by = name;
        }
    return header;
}

std::vector<std::string> header_names(std::string const& file, NamedKind kind) {
    TextLines lines(file, kind.packing);
    std::string line;
    if (!lines.next(line) || !cluster::is_utf8(line)) return {};
    if (line.ends_with('\r')) line.pop_back();
    if (kind.kind == FileKind::tsv) return names_in_header(line, '\t', false);
    std::vector<std::string> most;
    for (auto const& delimiter : kDelimiters)
        if (auto names = names_in_header(line, delimiter.character, true);
            names.size() > most.size())
            most = std::move(names);
    return most;
}

void read_separated(std::string const& file, NamedKind kind, Columns const& columns,
                    std::function<void(Row&&)> const& each) {
    char const delimiter = header_of(file, kind, columns).delimiter;
    std::int64_t line = 0; ///< the last one that was read well
    try {
        py::object const reader = open_separated(file, kind, delimiter);
        std::map<std::string, std::size_t> places;
        std::optional<Cells> rows;
        std::size_t width = 0; ///< of the header
        for (py::handle const record : reader) {
            std::int64_t const first = line + 1;
            line = reader.attr("line_num").cast<std::int64_t>();
            std::size_t const cells = py::len(record);
            if (cells == 0) continue; // an empty line
            if (!rows) {
                places = places_of_columns(file, record, delimiter, columns);
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
                                cells < width ? other_delimiter(record, delimiter, width) : ""));
            each(rows->row_of(record, first));
        }
    } catch (py::error_already_set const& error) {
        refuse_separated(file, kind.packing, line, error);
    }
}

} // namespace trireme::launch::text
