#include "launch/text/rows.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pybind11/embed.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

/// Labels may be words, numbers or truth values; text must be text.
std::string field(nlohmann::json const& row, std::string const& name, bool any, Row const& at) {
    if (name.empty()) return {};
    auto const found = row.find(name);
    if (found == row.end()) {
        std::vector<std::string> names;
        for (auto const& [key, value] : row.items()) names.push_back(key);
        throw cluster::InputError(
            fmt::format("{}:{}: no field \"{}\"; the line has: {}", *at.file, at.line, name, fmt::join(names, ", ")));
    }
    if (found->is_string()) return found->get<std::string>();
    if (any && (found->is_number() || found->is_boolean())) return found->dump();
    throw cluster::InputError(fmt::format("{}:{}: {}: {}: legal: {}", *at.file, at.line, name, found->dump(),
                                          any ? "a string, number or truth value" : "a string"));
}

void read_jsonl(std::string const& file, Columns const& columns, std::function<void(Row&&)> const& each) {
    std::ifstream in(file);
    if (!in) throw cluster::InputError(file + ": cannot be read (missing, or no permission)");
    std::string line;
    for (std::int64_t number = 1; std::getline(in, line); ++number) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        Row row{.file = &file, .line = number};
        nlohmann::json json;
        try {
            json = nlohmann::json::parse(line);
        } catch (nlohmann::json::exception const& error) {
            throw cluster::InputError(fmt::format("{}:{}: not JSON: {}", file, number, error.what()));
        }
        if (!json.is_object())
            throw cluster::InputError(fmt::format("{}:{}: legal: one JSON object per line", file, number));
        row.text = field(json, columns.text, false, row);
        row.pair = field(json, columns.pair, false, row);
        row.label = field(json, columns.label, true, row);
        each(std::move(row));
    }
    if (in.bad()) throw cluster::InputError(file + ": read error");
}

/// Quoting, embedded line ends and dialects are the business of Python's csv module.
void read_separated(std::string const& file, char const* delimiter, Columns const& columns,
                    std::function<void(Row&&)> const& each) {
    Row row{.file = &file, .line = 1};
    try {
        py::object const in =
            py::module_::import("io").attr("open")(file, py::arg("encoding") = "utf-8", py::arg("newline") = "");
        py::object const reader = py::module_::import("csv").attr("DictReader")(in, py::arg("delimiter") = delimiter,
                                                                                py::arg("strict") = true);
        auto const cell = [&](py::handle record, std::string const& name) -> std::string {
            if (name.empty()) return {};
            py::object const value = record.attr("get")(name);
            if (value.is_none())
                throw cluster::InputError(
                    fmt::format("{}:{}: no column \"{}\"; the header has: {}", file, row.line, name,
                                fmt::join(reader.attr("fieldnames").cast<std::vector<std::string>>(), ", ")));
            return value.cast<std::string>();
        };
        for (py::handle const record : reader) {
            row.line = reader.attr("line_num").cast<std::int64_t>();
            Row copy = row;
            copy.text = cell(record, columns.text);
            copy.pair = cell(record, columns.pair);
            copy.label = cell(record, columns.label);
            each(std::move(copy));
        }
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(
            fmt::format("{}: after line {}: {}", file, row.line, error.value().attr("__str__")().cast<std::string>()));
    }
}

} // namespace

void read_rows(std::string const& file, Columns const& columns, std::function<void(Row&&)> const& each) {
    if (file.ends_with(".jsonl"))
        read_jsonl(file, columns, each);
    else if (file.ends_with(".csv"))
        read_separated(file, ",", columns, each);
    else if (file.ends_with(".tsv"))
        read_separated(file, "\t", columns, each);
    else
        throw cluster::InputError(file + ": unknown kind of file; legal: .jsonl, .csv, .tsv");
}

} // namespace trireme::launch::text
