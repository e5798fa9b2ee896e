// Text in: rows of JSONL, CSV and TSV files.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trireme::launch::text {

/// Names the columns that are read, and their roles.
struct Columns {
    std::string text = "text", pair;   ///< names; empty: not used
    std::vector<std::string> values{}; ///< targets to learn; numbers and truth values are texts too
    bool may_lack = false;             ///< a row may lack a value
    /// the options of `prepare` that name them, for messages
    char const *text_option = "--text", *value_option = "--label";
};

struct Row {
    std::string text, pair;
    std::vector<std::string> values;   ///< as Columns::values
    bool unlabelled = false;           ///< lacks a value: an empty cell, blanks or null
    std::string const* file = nullptr; ///< for messages
    std::int64_t line = 0;
};

/// "FILE:LINE", for messages.
std::string place_of(Row const& row);

/// Nothing but blanks, those of Unicode included.
bool is_blank(std::string const& text);
/// In quotation marks, as cells of a .tsv are that was written with quoting.
bool is_quoted(std::string const& text);
/// In quotation marks after a blank, where a .csv has no quoting.
bool is_quoted_late(std::string const& text);

/// Calls `each` for every row of `file` in order; the kind follows from its name: .jsonl; .csv (RFC
/// 4180: cells may be quoted) and .tsv (no quoting: a quotation mark is a character of the text),
/// both with a header line. Throws InputError "FILE:LINE: what" for what is not a row: bad JSON,
/// bad UTF-8, a column that is missing.
void read_rows(std::string const& file, Columns const& columns,
               std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
