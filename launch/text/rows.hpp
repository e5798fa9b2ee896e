// Text in: rows of JSONL, CSV and TSV files.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trireme::launch::text {

struct Columns {
    std::string text = "text", pair, label; ///< names; empty: not used
    bool classes = false;                   ///< `label` names a class, which a row may lack
};

struct Row {
    std::string text, pair, label;
    bool unlabelled = false;           ///< no class: an empty cell, blanks or null
    std::string const* file = nullptr; ///< for messages
    std::int64_t line = 0;
};

/// Nothing but blanks, those of Unicode included.
bool is_blank(std::string const& text);

/// Calls `each` for every row of `file` in order; the kind follows from its name: .jsonl; .csv (RFC
/// 4180: cells may be quoted) and .tsv (no quoting: a quotation mark is a character of the text),
/// both with a header line. Throws InputError "FILE:LINE: what" for what is not a row: bad JSON,
/// bad UTF-8, a column that is missing.
void read_rows(std::string const& file, Columns const& columns,
               std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
