#include "launch/text/audit.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/process.hpp"
#include "cluster/staging.hpp"
#include "cluster/utf8.hpp"
#include "launch/text/census.hpp"
#include "launch/text/lengths.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

constexpr std::size_t kRowsAtOnce = 1000; ///< rows

/// launch/audit and launch/report, installed or beside the sources.
void find_modules() {
    auto const installed =
        std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
        "share/trireme";
    py::module_::import("sys").attr("path").attr("insert")(
        0, exists(installed / "audit") ? installed.string() : TRIREME_SCRIPTS);
}

std::vector<std::string> files_of(PrepareOptions const& o) {
    std::vector<std::string> files;
    for (auto const& [split, names] : o.files)
        files.insert(files.end(), names.begin(), names.end());
    return files;
}

py::dict given_of(AuditOptions const& a, PrepareOptions const& o, std::string const& staged) {
    py::dict given;
    given["task"] = o.task_name();
    given["files"] = files_of(o);
    given["values"] = o.columns.values.size();
    given["pair"] = !o.columns.pair.empty();
    given["structured"] = !o.columns.structured.empty();
    given["keep_unlabelled"] = !o.given("drop-unlabelled");
    given["tokenizer"] = o.tokenizer;
    given["max_length"] = o.max_length;
    given["near"] = a.near;
    given["severity"] = a.severity;
    given["groups"] = a.groups;
    given["region"] = a.region;
    given["parameters"] = a.parameters;
    given["output"] = a.output;
    given["json"] = a.json;
    given["force"] = a.force;
    given["fix"] = staged;
    return given;
}

/// Takes the columns that only groups need off the row: they are no part of its text.
std::vector<std::string> cells_of(Row& row, std::size_t own) {
    std::vector<std::string> cells;
    for (std::size_t i = own; i < row.structured.size(); ++i)
        cells.push_back(row.structured[i].is_string() ? row.structured[i].get<std::string>()
                                                      : row.structured[i].dump());
    row.structured.resize(own);
    return cells;
}

/// Does the task leave columns of the file to groups? Others read lists, and make rows of them.
bool leaves_columns(data::TaskKind task) {
    return task != data::TaskKind::multi_label && task != data::TaskKind::token_classification &&
           task != data::TaskKind::question_answering;
}

/// Rows on their way to Python.
class Batch {
  public:
    explicit Batch(std::vector<std::string> const& files) {
        for (auto const& file : files) numbers_.emplace(file, numbers_.size());
    }

    void add(Row&& row, std::string const& split, std::vector<std::string> cells, bool blank) {
        std::string content = content_of(row);
        texts_.push_back(std::move(content));
        pairs_.push_back(std::move(row.pair));
        row.values.insert(row.values.end(), cells.begin(), cells.end());
        values_.push_back(std::move(row.values));
        splits_.push_back(split);
        files_.push_back(numbers_.at(*row.file));
        lines_.push_back(row.line);
        unlabelled_.push_back(row.unlabelled);
        blank_.push_back(blank);
    }
    std::size_t size() const { return texts_.size(); }
    /// The lists by name; empties the batch.
    py::dict take() {
        py::dict lists;
        lists["texts"] = std::exchange(texts_, {});
        lists["pairs"] = std::exchange(pairs_, {});
        lists["values"] = std::exchange(values_, {});
        lists["splits"] = std::exchange(splits_, {});
        lists["files"] = std::exchange(files_, {});
        lists["lines"] = std::exchange(lines_, {});
        lists["unlabelled"] = std::exchange(unlabelled_, {});
        lists["blank"] = std::exchange(blank_, {});
        return lists;
    }

  private:
    std::map<std::string, std::size_t> numbers_;
    std::vector<std::string> texts_, pairs_, splits_;
    std::vector<std::vector<std::string>> values_;
    std::vector<std::size_t> files_;
    std::vector<std::int64_t> lines_;
    std::vector<bool> unlabelled_, blank_;
};

/// Hands all rows to the session, and once more those that it asks for.
void read_twice(PrepareOptions const& o, py::object const& session, std::size_t own) {
    Splitter const split_of(o);
    Batch batch(files_of(o));
    for_each_row(o, [&](Row&& row, std::string const& given) {
        auto cells = cells_of(row, own);
        bool const blank = has_no_text(row, o);
        // a row without a text or a label is in no split that --stratify knows
        bool const divided = given.empty() && !blank && !row.unlabelled;
        std::string const split = divided ? split_of(row, given) : given.empty() ? kTrain : given;
        batch.add(std::move(row), split, std::move(cells), blank);
        if (batch.size() == kRowsAtOnce) session.attr("first")(batch.take());
    });
    if (batch.size()) session.attr("first")(batch.take());
    if (!session.attr("second")().cast<bool>()) return;
    auto const wanted = session.attr("rows_wanted")().cast<std::vector<std::int64_t>>();
    std::int64_t number = 0;
    std::size_t next = 0; ///< place in wanted
    for_each_row(o, [&](Row&& row, std::string const&) {
        if (next < wanted.size() && wanted[next] == number++) {
            ++next;
            cells_of(row, own);
            session.attr("again")(number - 1, content_of(row), row.pair);
        }
    });
}

int audited(AuditOptions const& a, PrepareOptions const& o, std::vector<std::string> const& said) {
    std::optional<cluster::StagingFolder> staged;
    find_modules();
    py::module_ const module = py::module_::import("audit.session");
    if (!a.fix.empty()) staged.emplace(a.fix);
    py::object const session =
        module.attr("Session")(given_of(a, o, staged ? staged->path() : std::string()));
    PrepareOptions all = o;
    std::size_t const own = o.columns.structured.size();
    for (auto& name : session.attr("group_columns")().cast<std::vector<std::string>>()) {
        if (!leaves_columns(o.task))
            throw cluster::InputError(fmt::format(
                "--groups: {}: column {}: legal with --task {}: groups by words or regex", a.groups,
                cluster::one_line(name), o.task_name()));
        all.columns.structured.push_back(std::move(name));
    }
    read_twice(all, session, own);
    auto const [code, summary] = session.attr("finish")().cast<std::pair<int, std::string>>();
    if (staged) staged->commit();
    std::string notes;
    for (auto const& line : said) notes += "  note: " + line + "\n";
    cluster::print_text(summary + notes);
    return code;
}

} // namespace

std::vector<std::string>
notes_on_classes(std::map<std::string, std::map<std::string, std::int64_t>> const& rows) {
    std::map<std::string, std::map<std::string, std::int64_t>> table; // by class and split
    for (auto const& [split, classes] : rows)
        for (auto const& [name, count] : classes) table[name][split] = count;
    find_modules();
    return py::module_::import("audit.rules").attr("notes")(table).cast<std::vector<std::string>>();
}

int audit(AuditOptions const& options) {
    if (!options.fix.empty()) cluster::check_new_folder("--fix", options.fix);
    std::vector<std::string> said;
    PrepareOptions o = with_files(options.rows, said);
    for (auto const& file : files_of(o)) // Python holds them as texts
        if (!cluster::is_utf8(file))
            throw cluster::InputError(
                fmt::format("{}: legal: for an audit, a name in UTF-8", cluster::one_line(file)));
    // a row without a value is a finding here, not a mistake
    o.columns.may_lack = o.columns.may_lack || !o.columns.values.empty();
    if (!o.tokenizer.empty()) {
        Tokenizer const tokenizer(o.tokenizer, 0); // refuses what is none
        if (o.max_length == kChooseLength) o.max_length = usual_length(o.tokenizer);
    }
    try {
        return audited(options, o, said);
    } catch (py::error_already_set const& error) {
        // what Python refused, it has said
        if (error.matches(PyExc_SystemExit)) return error.value().attr("code").cast<int>();
        throw;
    }
}

} // namespace trireme::launch::text
