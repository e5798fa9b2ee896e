#include "launch/text/columnar.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <set>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/json_row.hpp"
#include "launch/text/text_lines.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;
using OrderedJson = nlohmann::ordered_json;

/// A packed file is unpacked into a nameless file on disk, since its reader goes back and forth in
/// it. Every batch is checked before it is read: an offset of a damaged file would crash.
constexpr char const* kRead = R"(
import datetime, decimal, json, os, shutil, tempfile, uuid
import pyarrow as pa

pa.set_memory_pool(pa.system_memory_pool())
ROWS = 1024
AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID)

class Table:
    def __init__(self, path, parquet, packed):
        if packed is None:
            self.file = open(path, "rb")
        else:
            self.file = tempfile.TemporaryFile()
            shutil.copyfileobj(packed, self.file, 1 << 20)
            self.file.seek(0)
        self.bytes = os.fstat(self.file.fileno()).st_size
        source = pa.OSFile("/proc/self/fd/%d" % self.file.fileno())
        if parquet:
            import pyarrow.parquet
            self.parquet = pyarrow.parquet.ParquetFile(source)
            self.schema = self.parquet.schema_arrow
            return
        self.parquet = None
        head = source.read(6)
        source.seek(0)
        self.stream = head != b"ARROW1"
        self.reader = pa.ipc.open_stream(source) if self.stream else pa.ipc.open_file(source)
        self.schema = self.reader.schema

    def names(self):
        return self.schema.names

    def batches(self, columns):
        if self.parquet:
            yield from self.parquet.iter_batches(ROWS, columns=columns, use_threads=False)
        elif self.stream:
            yield from self.reader
        else:
            for i in range(self.reader.num_record_batches):
                yield self.reader.get_batch(i)

    def pieces(self, columns):
        for batch in self.batches(columns):
            batch = batch.select(columns)
            batch.validate(full=True)
            for first in range(0, batch.num_rows, ROWS):
                yield [c.to_pylist() for c in batch.slice(first, ROWS).columns]

def plain(value):
    if isinstance(value, AS_TEXT):
        return str(value)
    raise TypeError("a value of type " + type(value).__name__)

def text_of(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=plain)
)";

py::object reader() {
    py::dict const modules = py::module_::import("sys").attr("modules");
    if (modules.contains("trireme_columnar")) return modules["trireme_columnar"];
    py::object const made = py::module_::import("types").attr("ModuleType")("trireme_columnar");
    py::exec(kRead, made.attr("__dict__"));
    modules["trireme_columnar"] = made;
    return made;
}

char const* name_of_kind(FileKind kind) {
    return kind == FileKind::parquet ? "Parquet" : "Arrow";
}

std::string message_of(py::error_already_set const& error) {
    return py::str(py::str(error.value()).attr("strip")()).cast<std::string>();
}

/// Columns that are to be read: those that have the name of a path, else those that the path leads
/// into. Throws InputError for one that is not there, or there twice.
std::vector<std::string> columns_to_read(std::string const& file, JsonRows const& rows,
                                         std::vector<std::string> const& names,
                                         Columns const& asked) {
    std::set<std::string> read;
    for (auto const* path : rows.paths()) {
        bool const whole = std::ranges::find(names, path->name()) != names.end();
        std::string const& name = whole ? path->name() : path->column();
        auto const times = std::ranges::count(names, name);
        if (times > 1)
            throw cluster::InputError(
                fmt::format("{}: column \"{}\" is there {} times; legal: once", file, name, times));
        bool const optional =
            std::ranges::find(asked.structured, path->name()) != asked.structured.end();
        if (times == 0 && !optional)
            throw cluster::InputError(
                fmt::format("{}: no column \"{}\"; legal: {} with a column of the file: {}", file,
                            path->name(), option_of(asked, path->name()), fmt::join(names, ", ")));
        if (times == 1) read.insert(name);
    }
    return {read.begin(), read.end()};
}

/// One value of a column as JSON.
OrderedJson value_of(py::handle cell, py::handle text_of, std::string const& place,
                     std::string const& column) {
    if (cell.is_none()) return nullptr;
    if (py::isinstance<py::str>(cell)) return cell.cast<std::string>();
    std::string text;
    try {
        text = text_of(cell).cast<std::string>();
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(
            fmt::format("{}: {}: {}; legal: texts, numbers, truth values, dates, and lists and "
                        "structs of them",
                        place, column,
                        error.matches(PyExc_ValueError) ? "a number that is none (NaN or infinity)"
                                                        : message_of(error)));
    }
    return data::parse_json<OrderedJson>(fmt::format("{}: {}", place, column), text);
}

/// Rows of pieces of columns.
class Pieces {
  public:
    Pieces(std::string const& file, JsonRows const& rows, std::vector<std::string> names,
           std::function<void(Row&&)> const& each)
        : file_(file), rows_(rows), names_(std::move(names)), text_of_(reader().attr("text_of")),
          each_(each) {}

    void take(py::list const& columns) {
        std::vector<py::list> cells;
        for (auto const column : columns) cells.push_back(column.cast<py::list>());
        std::size_t const rows = cells.empty() ? 0 : cells.front().size();
        for (std::size_t i = 0; i < rows; ++i) {
            Row row{.file = &file_, .line = ++rows_read_};
            auto fields = OrderedJson::object();
            for (std::size_t c = 0; c < cells.size(); ++c)
                fields[names_[c]] = value_of(cells[c][i], text_of_, place_of(row), names_[c]);
            rows_.fill(row, fields);
            each_(std::move(row));
        }
    }
    std::int64_t rows_read() const { return rows_read_; }

  private:
    std::string const& file_;
    JsonRows const& rows_;
    std::vector<std::string> names_;
    py::object text_of_;
    std::function<void(Row&&)> const& each_;
    std::int64_t rows_read_ = 0;
};

/// Throws InputError for what pyarrow found wrong behind `rows_read` rows.
[[noreturn]] void refuse_columnar(std::string const& file, NamedKind kind, std::int64_t rows_read,
                                  py::error_already_set const& error) {
    if (is_of_packing(error)) refuse_packed(file, kind.packing, error);
    if (error.matches(PyExc_ImportError))
        throw cluster::JobError(fmt::format("{}: needs pyarrow: {}; run launch/setup", file,
                                            cluster::one_line(message_of(error))));
    std::string const where = rows_read ? fmt::format("{}: behind row {}", file, rows_read) : file;
    if (error.matches(PyExc_MemoryError))
        throw cluster::InputError(
            fmt::format("{}: declares more than memory holds; legal: a whole {} file", where,
                        name_of_kind(kind.kind)));
    std::string const why = cluster::one_line(message_of(error));
    if (why.find("UTF8") != std::string::npos)
        throw cluster::InputError(
            fmt::format("{}: not UTF-8: {}; legal: texts in UTF-8", where, why));
    throw cluster::InputError(fmt::format("{}: cannot be read as {}: {}; legal: a whole {} file",
                                          where, name_of_kind(kind.kind), why,
                                          name_of_kind(kind.kind)));
}

py::object open_table(std::string const& file, NamedKind kind) {
    bool const packed = kind.packing != Packing::none;
    return reader().attr("Table")(py::bytes(file), kind.kind == FileKind::parquet,
                                  packed ? open_bytes(file, kind.packing) : py::object(py::none()));
}

} // namespace

std::vector<std::string> schema_names(std::string const& file, NamedKind kind) {
    try {
        return open_table(file, kind).attr("names")().cast<std::vector<std::string>>();
    } catch (py::error_already_set const& error) {
        refuse_columnar(file, kind, 0, error);
    }
}

void read_columnar(std::string const& file, NamedKind kind, Columns const& columns,
                   std::function<void(Row&&)> const& each) {
    JsonRows const rows(columns, "row");
    std::optional<Pieces> pieces;
    try {
        py::object const table = open_table(file, kind);
        auto const names = table.attr("names")().cast<std::vector<std::string>>();
        auto const read = columns_to_read(file, rows, names, columns);
        if (read.empty())
            throw cluster::InputError(
                fmt::format("{}: none of the columns {}; legal: columns of the file: {}", file,
                            fmt::join(columns.structured, ", "), fmt::join(names, ", ")));
        pieces.emplace(file, rows, read, each);
        py::object const all = table.attr("pieces")(read);
        for (py::handle const piece : all) pieces->take(piece.cast<py::list>());
    } catch (py::error_already_set const& error) {
        refuse_columnar(file, kind, pieces ? pieces->rows_read() : 0, error);
    }
}

} // namespace trireme::launch::text
