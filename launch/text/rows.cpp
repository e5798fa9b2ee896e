#include "launch/text/rows.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/line_reader.hpp"
#include "cluster/utf8.hpp"
#include "data/json.hpp"
#include "data/json_lines.hpp"
#include "launch/text/columnar.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/json_row.hpp"
#include "launch/text/separated.hpp"
#include "launch/text/text_lines.hpp"

namespace trireme::launch::text {

namespace {

namespace py = pybind11;

void read_jsonl(std::string const& file, Packing packing, Columns const& columns,
                std::function<void(Row&&)> const& each) {
    TextLines lines(file, packing);
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

/// Fields of the first line that is not empty.
std::vector<std::string> first_fields(std::string const& file, Packing packing) {
    TextLines lines(file, packing);
    for (std::string line; lines.next(line);) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        std::vector<std::string> names;
        auto const json = data::parse_json<nlohmann::ordered_json>(file, line, lines.number());
        if (json.is_object())
            for (auto const& [name, value] : json.items()) names.push_back(name);
        return names;
    }
    return {};
}

/// Documents of plain text, which are rows with the one column "text".
class Documents {
  public:
    Documents(std::string const& file, Columns const& columns,
              std::function<void(Row&&)> const& each)
        : file_(file), rows_(columns, "document"), each_(each) {}

    void begin(std::int64_t line) { line_ = line; }
    void add(std::string_view line) {
        if (!text_.empty()) text_ += '\n';
        text_ += line;
        if (text_.size() > cluster::LineReader::kLongest)
            throw cluster::InputError(
                fmt::format("{}:{}: a document of more than {} bytes; legal: a shorter one, as "
                            "--sample-by paragraph or line makes them",
                            file_, line_, cluster::LineReader::kLongest));
    }
    bool empty() const { return text_.empty(); }
    void finish() {
        if (text_.empty()) return;
        Row row{.file = &file_, .line = line_};
        rows_.fill(row, {{"text", std::exchange(text_, "")}});
        each_(std::move(row));
    }

  private:
    std::string const& file_;
    JsonRows rows_;
    std::function<void(Row&&)> const& each_;
    std::string text_;
    std::int64_t line_ = 0;
};

void read_text(std::string const& file, Packing packing, Columns const& columns,
               std::function<void(Row&&)> const& each) {
    TextLines lines(file, packing);
    Documents documents(file, columns, each);
    for (std::string line; lines.next(line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!cluster::is_utf8(line)) refuse_encoding(file, lines.number());
        refuse_zeros(line, file, lines.number());
        bool const empty = is_blank(line);
        if (documents.empty()) {
            if (empty) continue; // before a document
            documents.begin(lines.number());
        }
        if (empty && columns.sample_by == SampleBy::paragraph) {
            documents.finish();
            continue;
        }
        documents.add(line);
        if (columns.sample_by == SampleBy::line) documents.finish();
    }
    documents.finish();
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
    NamedKind const kind = kind_of_file(file);
    switch (kind.kind) {
    case FileKind::jsonl: return read_jsonl(file, kind.packing, columns, each);
    case FileKind::csv:
    case FileKind::tsv: return read_separated(file, kind, columns, each);
    case FileKind::text: return read_text(file, kind.packing, columns, each);
    case FileKind::parquet:
    case FileKind::arrow: return read_columnar(file, kind, columns, each);
    }
}

std::vector<std::string> column_names(std::string const& file) {
    NamedKind const kind = kind_of_file(file);
    switch (kind.kind) {
    case FileKind::jsonl: return first_fields(file, kind.packing);
    case FileKind::csv:
    case FileKind::tsv: return header_names(file, kind);
    case FileKind::text: return {"text"};
    case FileKind::parquet:
    case FileKind::arrow: return schema_names(file, kind);
    }
    return {};
}

std::vector<std::string> found_in(std::string const& file, Columns const& columns) {
    std::vector<std::string> found;
    auto const named = kind_of_name(file); // a task may read files of other kinds
    if (!named || named->kind == FileKind::parquet || named->kind == FileKind::arrow) return found;
    NamedKind const kind = *named;
    bool marked = false;
    if (kind.kind == FileKind::csv || kind.kind == FileKind::tsv) {
        Header const header = header_of(file, kind, columns);
        if (kind.kind == FileKind::csv && header.delimiter != ',')
            found.push_back(fmt::format("columns divided by {}", header.divided_by));
        marked = header.marked;
    } else {
        TextLines lines(file, kind.packing);
        std::string line;
        lines.next(line);
        marked = lines.marked();
    }
    if (marked) found.emplace_back("a mark of byte order at the beginning, which is passed over");
    return found;
}

} // namespace trireme::launch::text
