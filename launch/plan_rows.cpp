// `trireme plan --rows`: predicts runs of any framework that are described row by row.
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <vector>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/line_reader.hpp"
#include "cluster/output_file.hpp"
#include "framework/planning/published_rows.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/plan_run.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

namespace planning = framework::planning;

namespace {

std::vector<planning::PublishedRow> read_rows(std::string const& file,
                                              planning::Constants const& constants) {
    cluster::LineReader lines(file);
    std::vector<planning::PublishedRow> rows;
    for (std::string line; lines.next(line);)
        if (line.find_first_not_of(" \t\r") != std::string::npos)
            rows.push_back(planning::parse_row(file, line, lines.number(), constants));
    if (rows.empty()) throw cluster::InputError(file + ": no row; legal: one JSON object a line");
    return rows;
}

/// Names the rows without a prediction by their reasons, each with the first row that has it.
void print_refused(std::vector<planning::PublishedRow> const& rows) {
    std::map<std::string, std::pair<std::int64_t, std::string>> reasons;
    for (auto const& row : rows) {
        if (row.refused.empty()) continue;
        auto& [count, first] = reasons[row.refused];
        if (count++ == 0) first = row.id;
    }
    for (auto const& [reason, found] : reasons)
        fmt::print("no prediction for {} ({} first): {}\n", cluster::counted(found.first, "row"),
                   found.second, reason);
}

} // namespace

std::string installed_constants() {
    namespace fs = std::filesystem;
    auto const installed = own_folder().parent_path() / "share/trireme/planning";
    return (exists(installed) ? installed.string() : TRIREME_PLANNING) + "/constants.json";
}

int plan_rows(RowsRequest const& r) {
    if (r.out.empty())
        throw cluster::InputError("--out: missing; legal: with --rows, the CSV file to write");
    cluster::refuse_input("--out", r.out, {r.rows, r.constants}, ".csv");
    cluster::OutputFile out("--out", r.out, existing(r.force));
    auto const constants =
        planning::read_constants(r.constants.empty() ? installed_constants() : r.constants);
    auto rows = read_rows(r.rows, constants);
    std::string const text = planning::predictions_csv(rows);
    out.write(text);
    fmt::print("{}: {}\n", r.out, cluster::counted(std::ssize(rows), "row"));
    print_refused(rows);
    return cluster::kDone;
}

} // namespace trireme::launch
