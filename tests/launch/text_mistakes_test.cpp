// Mistakes in text files.
#include <sys/stat.h>

#include <filesystem>

#include "data/manifest.hpp"
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

std::vector<Mistake> const kTexts{
    rows("EmptyFile", "r.jsonl", "", "DIR/r.jsonl: no row; legal: one row of data or more"),
    rows("EmptyCsv", "r.csv", "", "DIR/r.csv: no row; legal: one row of data or more"),
    rows("HeaderAlone", "r.csv", "text,label\n",
         "DIR/r.csv: no row; legal: one row of data or more"),
    rows("NoText", "r.jsonl", "{\"text\": \" \", \"label\": \"x\"}\n",
         "DIR/r.jsonl: none of the 1 rows has a text in \"text\"; legal: one or more"),
    rows("NotJson", "r.jsonl", kGoodRow + "{\"text\": \n",
         "DIR/r.jsonl:2:10: not JSON: syntax error while parsing value - unexpected end of input; "
         "expected '[', '{', or a literal"),
    rows("InvalidUtf8", "r.jsonl", kGoodRow + "{\"text\": \"\xff\", \"label\": \"y\"}\n",
         "DIR/r.jsonl:2:11: not JSON: syntax error while parsing value - invalid string: "
         "ill-formed UTF-8 byte; last read: '\"\\xff'"),
    rows("NumberOverflows", "r.jsonl", kGoodRow + "{\"text\": \"a\", \"label\": 1e999}\n",
         "DIR/r.jsonl:2:24: 1e999: legal: a number that a double of 64 bits holds"),
    rows("LabelWouldBeRounded", "r.jsonl",
         kGoodRow + "{\"text\": \"a\", \"label\": 12345678901234567890123}\n",
         "DIR/r.jsonl:2: label: 1.2345678901234568e+22: legal: a string, a truth value, or a "
         "number of at most 16 digits (longer ones as strings)"),
    rows("NotAnObject", "r.jsonl", kGoodRow + "[1, 2]\n",
         "DIR/r.jsonl:2: [1,2]: legal: one JSON object per line"),
    rows("KeyTwice", "r.jsonl", "{\"text\": \"a\", \"text\": \"b\", \"label\": \"x\"}\n",
         "DIR/r.jsonl:1: key \"text\" is given twice in one object; legal: once"),
    rows("DeepNesting", "r.jsonl", kGoodRow + std::string(100'000, '[') + "\n",
         "DIR/r.jsonl:2: nested deeper than the 64 levels that are legal"),
    rows("MissingColumn", "r.jsonl", "{\"txt\": \"a\", \"label\": \"y\"}\n",
         "DIR/r.jsonl:1: no field \"text\"; legal: --text with a field of the line: label, txt"),
    rows("TextIsANumber", "r.jsonl", kGoodRow + "{\"text\": 3, \"label\": \"y\"}\n",
         "DIR/r.jsonl:2: text: 3: legal: a string"),
    rows("OneClass", "r.jsonl", kGoodRow + kGoodRow,
         "DIR/r.jsonl: label: one label only in training (x); legal: two or more; is --label the "
         "column of the classes?"),
    rows("MissingColumnOfCsv", "r.csv", "txt,label\na,b\n",
         "DIR/r.csv:1: no column \"text\"; legal: --text with a column of the header: txt, label"),
    rows("ColumnTwice", "r.csv", "text,label,text\na,b,c\n",
         "DIR/r.csv:1: column \"text\" stands twice in the header; legal: once"),
    rows("MissingColumnBetweenSemicolons", "r.csv", "txt;label\na;x\nb;y\n",
         "DIR/r.csv:1: no column \"text\"; legal: --text with a column of the header: txt, label"),
    rows("SemicolonsInTheRowsOfACsv", "r.csv", "text,label\na;x\nb;y\n",
         "DIR/r.csv:2: 1 column: legal: the 2 of the header; are its columns divided by "
         "semicolons? legal in a file of this name: commas (.csv)"),
    rows("CommasInATsv", "r.tsv", "text,label\na,x\n",
         "DIR/r.tsv:1: no column \"text\"; legal: --text with a column of the header: text,label; "
         "are its columns divided by commas? legal in a file of this name: tabs (.tsv)"),
    rows("CsvTooFewColumns", "r.csv", "text,label\na,x\nb\n",
         "DIR/r.csv:3: 1 column: legal: the 2 of the header"),
    rows("CsvTooManyColumns", "r.tsv", "text\tlabel\na\tx\tz\n",
         "DIR/r.tsv:2: 3 columns: legal: the 2 of the header"),
    rows("UnclosedQuote", "r.csv", "text,label\na,x\n\"b,y\nc,x\n",
         "DIR/r.csv:3: a quote is opened and never closed; legal: \"text\", and \"\" for a quote "
         "inside"),
    rows("InvalidUtf8OfCsv", "r.csv", "text,label\na,x\n\xff,y\n",
         "DIR/r.csv:3: not UTF-8; legal: a file saved as UTF-8; `iconv -f WINDOWS-1252 -t UTF-8` "
         "converts a Western one"),
    rows("UnknownEnding", "r.text", "a\n",
         "DIR/r.text: unknown kind of file; legal: a name that ends in .jsonl, .csv, .tsv, .txt, "
         ".parquet, .arrow or .feather, or in one of them and .gz or .zst"),
    {"FileMissing",
     prepare("r.jsonl"),
     "DIR/r.jsonl: cannot be read: No such file or directory",
     {}},
    {"CsvMissing", prepare("r.csv"), "DIR/r.csv: cannot be read: No such file or directory", {}},
    {"IsAPipe", prepare("r.csv"),
     "DIR/r.csv: cannot be read: it is a pipe, socket or device; legal: a regular file",
     [](std::string const& dir) { ASSERT_EQ(mkfifo((dir + "/r.csv").c_str(), 0600), 0); }},
    {"LabelNotSeenInTraining", prepare("rows.jsonl", {"--validation", "DIR/r.jsonl"}),
     "DIR/r.jsonl: label: x: in 1 row of validation and never in training; legal: no, yes",
     write("r.jsonl", kGoodRow)},
    {"FileTwiceInASplit",
     prepare("rows.jsonl", {"DIR/rows.jsonl"}),
     "--train: DIR/rows.jsonl: given already, by --train; legal: each file once",
     {}},
    {"FileInTwoSplits",
     prepare("rows.jsonl", {"--test", "DIR/data/../rows.jsonl"}),
     "--train: DIR/rows.jsonl: given already, by --test; legal: each file once",
     {}},
    {"NoTrainingFile",
     {"prepare", "--task", "classification", "--tokenizer", "DIR/bert", "--output", "DIR/out",
      "--label", "label", "--max-length", "16", "--test", "DIR/rows.jsonl"},
     "--train: missing, no sample for training; legal: --train FILES, or --input FILES",
     {}},
    {"NoFile",
     {"prepare", "--task", "language-modeling", "--tokenizer", "DIR/bert", "--output", "DIR/out"},
     "--input: missing; legal: --input FILES, or --train FILES with --validation and --test",
     {}},
    {"NoLabel",
     {"prepare", "--task", "classification", "--tokenizer", "DIR/bert", "--output", "DIR/out",
      "--train", "DIR/rows.jsonl"},
     "--label: missing; legal: the name of the column with the classes; columns of "
     "DIR/rows.jsonl: text, label",
     {}},
    {"WrongTask",
     {"prepare", "--task", "poetry", "--tokenizer", "DIR/bert", "--output", "DIR/out", "--train",
      "DIR/rows.jsonl"},
     "--task: poetry: legal: classification, language-modeling, generation, regression, "
     "multi-label, token-classification, question-answering, masked-language-modeling, chat",
     {}},
    {"MaxLengthZero",
     prepare("rows.jsonl", {"--max-length", "0"}),
     "--max-length: 0: legal: a whole number >= 2",
     {}},
    {"MaxLengthBeyondTheModel",
     prepare("rows.jsonl", {"--max-length", "17"}),
     "--max-length: 17: legal: 2 to 16, the positions of DIR/bert/config.json",
     {}},
    {"MaxLengthBeyondThePositionsBehindThePaddings", prepare("rows.jsonl", {"--max-length", "16"}),
     "--max-length: 16: legal: 2 to 15, the positions of DIR/bert/config.json",
     change("bert/config.json", "\"model_type\": \"bert\"", "\"model_type\": \"roberta\"")},
    {"FractionsMakeMoreThanAll",
     prepare("rows.jsonl", {"--test-fraction", "nan"}),
     "--validation-fraction 0.1, --test-fraction nan: legal: numbers >= 0 whose sum is < 1",
     {}},
    {"OutputExists", prepare("rows.jsonl"),
     "--output: DIR/out: exists already; legal: a new folder, since none is overwritten",
     write("out/note.txt", "mine")},
    {"OutputBelowAFile", prepare("rows.jsonl", {}),
     "--output: DIR/out: DIR/out is not a folder; legal: a folder, or one to make",
     write("out", "mine")},
};
INSTANTIATE_TEST_SUITE_P(Text, Mistakes, testing::ValuesIn(kTexts), name_of);

} // namespace
} // namespace trireme::test
