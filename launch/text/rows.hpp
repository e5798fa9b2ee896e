// Text in: rows of JSONL, CSV, TSV, Parquet and Arrow files, and documents of plain text.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace trireme::launch::text {

/// Says what a document of a .txt is: a line, lines up to an empty one, or the whole file.
enum class SampleBy : std::uint8_t { line, paragraph, document };

/// Names the columns that are read, and their roles. Each name may be a path (field_path.hpp): one
/// that finds several texts makes one text of them, in lines.
struct Columns {
    std::string text = "text", pair;   ///< names; empty: not used
    std::vector<std::string> values{}; ///< targets to learn; numbers and truth values are texts too
    /// values that are more than a text, as the messages of a conversation are
    std::vector<std::string> structured{};
    bool may_lack = false; ///< a row may lack a value
    SampleBy sample_by = SampleBy::line;
    /// the options of `prepare` that name them, for messages
    char const *text_option = "--text", *value_option = "--label";
};

struct Row {
    std::string text, pair;
    std::vector<std::string> values; ///< as Columns::values
    /// as Columns::structured, whatever the kind of the file; null: the row has none. A text stays
    /// one, though it be of JSON: whoever expects a list or an object asks `opened`.
    std::vector<nlohmann::ordered_json> structured{};
    bool unlabelled = false;           ///< lacks a value: an empty cell, blanks or null
    std::string const* file = nullptr; ///< for messages
    std::int64_t line = 0;             ///< from 1; the row of a Parquet or Arrow file
    std::string group{}; ///< rows of one group lie in one split; empty: text and pair are it
};

/// "FILE:LINE", for messages.
std::string place_of(Row const& row);

/// Returns what a text of JSON holds, as columns of CSV and Parquet files may have it; any other
/// value as it is. `name`: of its column, for messages. Throws InputError "FILE:LINE:
/// NAME:LINE:COLUMN: not JSON: why".
nlohmann::ordered_json opened(Row const& row, std::string const& name,
                              nlohmann::ordered_json value);

/// Nothing but blanks, those of Unicode included.
bool is_blank(std::string const& text);
/// In quotation marks, as cells of a .tsv are that was written with quoting.
bool is_quoted(std::string const& text);
/// In quotation marks after a blank, where a .csv has no quoting.
bool is_quoted_late(std::string const& text);

/// Calls `each` for every row of `file` in order; the kind follows from its name, which may end in
/// .gz or .zst behind it: .jsonl; .csv (RFC 4180: cells may be quoted) and .tsv (no quoting: a
/// quotation mark is a character of the text), both with a header line; .txt, whose one column is
/// `text`; .parquet, .arrow and .feather. Memory holds a piece of the file at a time. Throws
/// InputError "FILE:LINE: what" for what is not a row: bad JSON, bad UTF-8, a column that is
/// missing.
void read_rows(std::string const& file, Columns const& columns,
               std::function<void(Row&&)> const& each);

/// Says what was found in a file rather than given: "columns divided by semicolons", "a mark of
/// byte order, which is passed over". Throws InputError.
std::vector<std::string> found_in(std::string const& file, Columns const& columns);

/// Names of the columns of a file, in its order: those of the header or the schema, or the fields
/// of the first line. Throws InputError for a file that cannot be read.
std::vector<std::string> column_names(std::string const& file);

} // namespace trireme::launch::text
