// Files of rows that are packed or lie in columns, folders and patterns: what is wrong with each.
#include <sys/stat.h>

#include <filesystem>

#include "cluster/file.hpp"
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

using Edit = std::function<std::string(std::string)>;

/// Writes one of the tables of tests/golden as DIR/`to`, changed by `edit`.
std::function<void(std::string const&)> table(std::string const& from, std::string const& to,
                                              Edit const& edit) {
    return write(to, edit(cluster::read_file(TRIREME_GOLDEN "/tables/" + from)));
}
std::string whole(std::string text) {
    return text;
}
Edit cut_to(std::size_t bytes) {
    return [bytes](std::string const& text) { return text.substr(0, bytes); };
}
/// Overwrites bytes; `at`: from the end.
Edit overwrite(std::size_t at, std::string const& bytes) {
    return [=](std::string text) { return text.replace(text.size() - at, bytes.size(), bytes); };
}
/// prepare of a changed table.
Mistake changed(char const* name, std::string const& from, std::string const& to, Edit const& edit,
                std::string const& line, std::vector<std::string> const& more = {}) {
    return {name, prepare(to, more), line, table(from, to, edit)};
}
/// prepare of a whole table, with other columns.
Mistake columns(char const* name, std::string const& from, std::vector<std::string> const& more,
                std::string const& line) {
    std::vector<std::string> all{
        "prepare", "--task",   "classification", "--tokenizer", "DIR/bert",   "--max-length",
        "16",      "--output", "DIR/out",        "--train",     "DIR/" + from};
    all.insert(all.end(), more.begin(), more.end());
    return {name, all, line, table(from, from, whole)};
}

std::string const kNames =
    "a name that ends in .jsonl, .csv, .tsv, .txt, .parquet, .arrow or .feather, or in one of them "
    "and .gz or .zst";

std::vector<Mistake> const kPacked{
    changed("GzipCutShort", "rows.jsonl.gz", "r.jsonl.gz", cut_to(150),
            "DIR/r.jsonl.gz: cut short, since what gzip packed has an end; legal: the whole file"),
    changed("ZstdCutShort", "rows.csv.zst", "r.csv.zst", cut_to(150),
            "DIR/r.csv.zst: cut short, since what zstd packed has an end; legal: the whole file"),
    changed("GzipWithAnotherChecksum", "rows.jsonl.gz", "r.jsonl.gz", overwrite(8, "\1\2\3\4"),
            "DIR/r.jsonl.gz: cannot be unpacked: CRC check failed 0x4030201 != 0x85167ac7; legal: "
            "what gzip wrote"),
    changed(
        "ZstdOfGarbage", "rows.jsonl.zst", "r.jsonl.zst",
        [](std::string const& text) { return text.substr(0, 4) + "garbage, garbage"; },
        "DIR/r.jsonl.zst: cannot be unpacked: ZSTD decompress failed: Dictionary mismatch; "
        "legal: what zstd wrote"),
    changed("NotPacked", "rows.jsonl", "r.jsonl.gz", whole,
            "DIR/r.jsonl.gz: not packed by gzip; legal: what gzip wrote, or a name without .gz"),
    changed("PackedOtherwise", "rows.jsonl.gz", "r.jsonl.zst", whole,
            "DIR/r.jsonl.zst: not packed by zstd; legal: what zstd wrote, or a name without .zst"),
    changed("PackedTable", "rows.parquet.gz", "r.jsonl.gz", whole,
            "DIR/r.jsonl.gz: a Parquet file; legal: its rows as JSON Lines or CSV, which pandas or "
            "datasets write"),
    changed("NothingInGzip", "rows.jsonl", "r.jsonl.gz", cut_to(0),
            "DIR/r.jsonl.gz: no row; legal: one row of data or more"),
};
INSTANTIATE_TEST_SUITE_P(Packed, Mistakes, testing::ValuesIn(kPacked), name_of);

std::vector<Mistake> const kColumnar{
    changed("ParquetCutInHalf", "rows.parquet", "r.parquet", cut_to(1800),
            "DIR/r.parquet: cannot be read as Parquet: Parquet magic bytes not found in footer. "
            "Either the file is corrupted or this is not a parquet file.; legal: a whole Parquet "
            "file"),
    changed("ParquetFooterOverwritten", "rows.parquet", "r.parquet",
            overwrite(60, std::string(52, 'x')),
            "DIR/r.parquet: cannot be read as Parquet: Couldn't deserialize thrift: No more data "
            "to read.; legal: a whole Parquet file"),
    changed("ParquetOfAHugeSize", "rows.parquet", "r.parquet", overwrite(8, "\xff\xff\xff\x7f"),
            "DIR/r.parquet: cannot be read as Parquet: Parquet file size is 3769 bytes, smaller "
            "than the size reported by footer's (2147483647bytes); legal: a whole Parquet file"),
    changed("ParquetWithoutABody", "rows.parquet", "r.parquet", cut_to(0),
            "DIR/r.parquet: cannot be read as Parquet: Parquet file size is 0 bytes; legal: a "
            "whole Parquet file"),
    changed("ParquetWithoutARow", "empty.parquet", "r.parquet", whole,
            "DIR/r.parquet: no row; legal: one row of data or more"),
    changed("ArrowCutInHalf", "stream.arrow", "r.arrow", cut_to(1200),
            "DIR/r.arrow: cannot be read as Arrow: Expected to read 680 metadata bytes, but only "
            "read 608; legal: a whole Arrow file"),
    changed("ArrowOfAHugeSize", "stream.arrow", "r.arrow", overwrite(2476, "\xff\xff\xff\x7f"),
            "DIR/r.arrow: cannot be read as Arrow: Expected to read 2147483647 metadata bytes, but "
            "only read 2472; legal: a whole Arrow file"),
    changed("FeatherCutInHalf", "rows.feather", "r.feather", cut_to(1300),
            "DIR/r.feather: cannot be read as Arrow: Not an Arrow file; legal: a whole Arrow file"),
    changed("TextIsNotUtf8", "latin.parquet", "r.parquet", whole,
            "DIR/r.parquet: not UTF-8: In column 1: Invalid: Invalid UTF8 sequence at string index "
            "1; legal: texts in UTF-8"),
    changed("ColumnTwice", "twice.parquet", "r.parquet", whole,
            "DIR/r.parquet: column \"text\" is there 2 times; legal: once"),
    columns("ColumnMissing", "rows.parquet", {"--label", "lable"},
            "DIR/rows.parquet: no column \"lable\"; legal: --label with a column of the file: "
            "text, label, meta, messages, number"),
    columns("TextIsANumber", "rows.parquet", {"--label", "label", "--text", "number"},
            "DIR/rows.parquet:1: number: 1: legal: a string"),
    columns("TextIsMissingInARow", "odd.parquet", {"--label", "label", "--text", "nothing"},
            "DIR/odd.parquet:1: nothing: null: legal: a string"),
    columns("TextIsBytes", "odd.parquet", {"--label", "label", "--text", "bytes"},
            "DIR/odd.parquet:1: bytes: a value of type bytes; legal: texts, numbers, truth values, "
            "dates, and lists and structs of them"),
    columns("LabelIsNoNumber", "odd.parquet", {"--label", "real"},
            "DIR/odd.parquet:2: real: a number that is none (NaN or infinity); legal: texts, "
            "numbers, truth values, dates, and lists and structs of them"),
    columns("PathMeetsAText", "rows.parquet", {"--label", "label.name"},
            "DIR/rows.parquet:1: label.name: label is \"yes\", which has no field \"name\"; legal: "
            "--label with a field of the row: label, text"),
    columns("PathLacksAField", "rows.jsonl", {"--label", "meta.lable"},
            "DIR/rows.jsonl:1: meta.lable: meta has no field \"lable\", but label, parts; legal: "
            "--label with a field of the line: label, messages, meta, number, text"),
    columns(
        "BadJsonInAColumn", "odd.parquet", {"--label", "json.k"},
        "DIR/odd.parquet:2: json:1:7: not JSON: syntax error while parsing value - unexpected end "
        "of input; expected '[', '{', or a literal"),
};
INSTANTIATE_TEST_SUITE_P(Columnar, Mistakes, testing::ValuesIn(kColumnar), name_of);

std::vector<Mistake> const kFolders{
    {"EmptyFolder", prepare("rows"), "--train: DIR/rows: a folder without a file; legal: " + kNames,
     [](std::string const& dir) { fs::create_directories(dir + "/rows/.hidden"); }},
    {"FolderWithoutRows", prepare("rows"),
     "--train: DIR/rows: no file of rows, but README.md, state.json; legal: " + kNames,
     both(write("rows/state.json", "{}"), write("rows/README.md", "# Rows\n"))},
    {"PatternThatMatchesNothing",
     prepare("rows/*.jsonl"),
     "--train: DIR/rows/*.jsonl: matches nothing; legal: " + kNames,
     {}},
    {"PipeInAPattern", prepare("r.*"),
     "DIR/r.csv: cannot be read: it is a pipe, socket or device; legal: a regular file",
     [](std::string const& dir) { ASSERT_EQ(mkfifo((dir + "/r.csv").c_str(), 0600), 0); }},
    {"FileTwiceByAPattern",
     prepare("*.jsonl", {"DIR/rows.jsonl"}),
     "--train: DIR/rows.jsonl: given already, by --train; legal: each file once",
     {}},
    {"OtherColumnsInAnotherFile", prepare("rows", {}),
     "DIR/rows/b.csv:1: no column \"label\"; legal: --label with a column of the header: text, "
     "stars",
     both(write("rows/a.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\n"),
          write("rows/b.csv", "text,stars\nb,5\n"))},
    {"PlainTextHasOneColumn", prepare("r.txt"),
     "DIR/r.txt:1: no field \"label\"; legal: --label with a field of the document: text",
     write("r.txt", "a film\n")},
    {"PlainTextInAnotherEncoding", prepare("r.txt"),
     "DIR/r.txt:2: not UTF-8; legal: a file saved as UTF-8; `iconv -f WINDOWS-1252 -t UTF-8` "
     "converts a Western one",
     write("r.txt", "\na \xe9tude\n")},
    {"PlainTextInUtf16", prepare("r.txt"),
     "DIR/r.txt: text in UTF-16; legal: a file saved as UTF-8: iconv -f UTF-16 -t UTF-8",
     write("r.txt", std::string("\xff\xfe"
                                "a\0",
                                4))},
    {"PlainTextInUtf16WithoutAMark", prepare("r.txt"),
     "DIR/r.txt:1: a byte of zero in \"a\\x00b\\x00\"; legal: text in UTF-8 (UTF-16 becomes it by "
     "iconv -f UTF-16LE -t UTF-8)",
     write("r.txt", std::string("a\0b\0", 4))},
    {"UnknownUnit",
     prepare("rows.jsonl", {"--sample-by", "word"}),
     "--sample-by: word: legal: line, paragraph, document",
     {}},
};
INSTANTIATE_TEST_SUITE_P(Folders, Mistakes, testing::ValuesIn(kFolders), name_of);

} // namespace
} // namespace trireme::test
