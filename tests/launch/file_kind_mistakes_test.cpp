// Files that are no rows of text, whatever their names say: each is called what it is.
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

std::vector<Mistake> const kKinds{
    rows("TextAfterAClosingQuote", "r.csv", "text,label\na,x\n\"he said \\\"no\\\" to me\",y\n",
         "DIR/r.csv:3: text after a closing quote; legal: \"text\", and \"\" for a quote inside, "
         "which \\\" is not"),
    rows("BytesOfZero", "r.csv", "text,label\na,x\n" + std::string("b\0d,y\n", 6),
         "DIR/r.csv:3: a byte of zero in \"b\\x00d\"; legal: text in UTF-8 (UTF-16 becomes it by "
         "iconv -f UTF-16LE -t UTF-8)"),
    rows("Utf16WithoutAMark", "r.csv", std::string("t\0e\0x\0t\0\n\0a\0\n\0", 14),
         "DIR/r.csv:1: a byte of zero in \"t\\x00e\\x00x\\x00t\\x00\"; legal: text in UTF-8 "
         "(UTF-16 becomes it by iconv -f UTF-16LE -t UTF-8)"),
    rows("ZeroInANameOfAClass", "r.jsonl",
         kGoodRow + "{\"text\": \"b\", \"label\": \"y\\u0000z\"}\n",
         "DIR/r.jsonl:2: label: \"y\\x00z\": legal: a name without a character of zero"),
    rows("ListOfRows", "r.jsonl", "[{\"text\": \"a\", \"label\": \"x\"}]\n",
         "DIR/r.jsonl:1: a JSON document that holds all rows; legal: JSON Lines, one object per "
         "line, as jq -c '.[]' makes them of a list"),
    rows("DocumentOverSeveralLines", "r.jsonl", "\n{\n  \"rows\": []\n}\n",
         "DIR/r.jsonl:2: a JSON document that holds all rows; legal: JSON Lines, one object per "
         "line, as jq -c '.[]' makes them of a list"),
    rows("PackedByGzip", "r.csv", "\x1f\x8b\x08 ...",
         "DIR/r.csv: packed by gzip; legal: the file "
         "that was packed"),
    rows("PackedByZstd", "r.jsonl.zst", "\x28\xb5\x2f\xfd ...",
         "DIR/r.jsonl.zst: cut short, since what zstd packed has an end; legal: the whole file"),
    rows("Spreadsheet", "r.xlsx", "PK\x03\x04 ...",
         "DIR/r.xlsx: a zip archive, as files of a spreadsheet are (.xlsx, .ods); legal: the table "
         "saved as CSV in UTF-8"),
    rows("Parquet", "r.jsonl", "PAR1\x15\x04 ...",
         "DIR/r.jsonl: a Parquet file; legal: its rows as JSON Lines or CSV, which pandas or "
         "datasets write"),
    rows("Utf16", "r.jsonl", std::string("\xff\xfe{\0", 4),
         "DIR/r.jsonl: text in UTF-16; legal: a file saved as UTF-8: iconv -f UTF-16 -t UTF-8"),
    {"PromptsInOneList",
     {"generate", "DIR/llama", "--prompts", "DIR/p.jsonl"},
     "DIR/p.jsonl:1: a JSON document that holds all rows; legal: JSON Lines, one object per line, "
     "as jq -c '.[]' makes them of a list",
     write("p.jsonl", "[{\"prompt\": \"film\"}]\n")},
    {"PromptsThatArePacked",
     {"generate", "DIR/llama", "--prompts", "DIR/p.jsonl"},
     "DIR/p.jsonl: packed by gzip; legal: the file that was packed",
     write("p.jsonl", "\x1f\x8b\x08 ...")},
};
INSTANTIATE_TEST_SUITE_P(FileKinds, Mistakes, testing::ValuesIn(kKinds), name_of);

} // namespace
} // namespace trireme::test
