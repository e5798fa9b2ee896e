// Mistakes in text files and in prepared data sets.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "data/manifest.hpp"
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Spoil = std::function<void(std::string const&)>;

std::string const kGood = "{\"text\": \"a\", \"label\": \"x\"}\n";

/// prepare of a file with that content.
Mistake rows(char const* name, std::string const& file, std::string const& text, std::string const& line) {
    return {name, prepare(file), line, write(file, text)};
}

std::vector<Mistake> const kTexts{
    rows("EmptyFile", "r.jsonl", "", "?"),
    rows("EmptyCsv", "r.csv", "", "?"),
    rows("HeaderAlone", "r.csv", "text,label\n", "?"),
    rows("NoText", "r.jsonl", "{\"text\": \" \", \"label\": \"x\"}\n", "?"),
    rows("NotJson", "r.jsonl", kGood + "{\"text\": \n", "?"),
    rows("InvalidUtf8", "r.jsonl", kGood + "{\"text\": \"\xff\", \"label\": \"y\"}\n", "?"),
    rows("NotAnObject", "r.jsonl", kGood + "[1, 2]\n", "?"),
    rows("KeyTwice", "r.jsonl", "{\"text\": \"a\", \"text\": \"b\", \"label\": \"x\"}\n", "?"),
    rows("DeepNesting", "r.jsonl", std::string(100'000, '[') + "\n", "?"),
    rows("MissingColumn", "r.jsonl", "{\"txt\": \"a\", \"label\": \"y\"}\n", "?"),
    rows("TextIsANumber", "r.jsonl", kGood + "{\"text\": 3, \"label\": \"y\"}\n", "?"),
    rows("OneClass", "r.jsonl", kGood + kGood, "?"),
    rows("MissingColumnOfCsv", "r.csv", "txt,label\na,b\n", "?"),
    rows("ColumnTwice", "r.csv", "text,label,text\na,b,c\n", "?"),
    rows("CsvTooFewColumns", "r.csv", "text,label\na,x\nb\n", "?"),
    rows("CsvTooManyColumns", "r.tsv", "text\tlabel\na\tx\tz\n", "?"),
    rows("UnclosedQuote", "r.csv", "text,label\na,x\n\"b,y\nc,x\n", "?"),
    rows("InvalidUtf8OfCsv", "r.csv", "text,label\na,x\n\xff,y\n", "?"),
    rows("UnknownEnding", "r.txt", "a\n", "?"),
    {"FileMissing", prepare("r.jsonl"), "?", {}},
    {"CsvMissing", prepare("r.csv"), "?", {}},
    {"IsAFolder", prepare("r.jsonl"), "?", [](std::string const& dir) { fs::create_directories(dir + "/r.jsonl"); }},
    {"IsAPipe", prepare("r.csv"), "?",
     [](std::string const& dir) { ASSERT_EQ(mkfifo((dir + "/r.csv").c_str(), 0600), 0); }},
    {"LabelNotSeenInTraining", prepare("rows.jsonl", {"--validation", "DIR/r.jsonl"}), "?", write("r.jsonl", kGood)},
    {"FileTwiceInASplit", prepare("rows.jsonl", {"DIR/rows.jsonl"}), "?", {}},
    {"FileInTwoSplits", prepare("rows.jsonl", {"--test", "DIR/data/../rows.jsonl"}), "?", {}},
    {"NoTrainingFile",
     {"prepare", "--task", "classification", "--tokenizer", "DIR/bert", "--output", "DIR/out", "--label", "label",
      "--max-length", "16", "--test", "DIR/rows.jsonl"},
     "?",
     {}},
    {"NoFile", {"prepare", "--task", "language-modeling", "--tokenizer", "DIR/bert", "--output", "DIR/out"}, "?", {}},
    {"NoLabel",
     {"prepare", "--task", "classification", "--tokenizer", "DIR/bert", "--output", "DIR/out", "--train",
      "DIR/rows.jsonl"},
     "?",
     {}},
    {"WrongTask",
     {"prepare", "--task", "poetry", "--tokenizer", "DIR/bert", "--output", "DIR/out", "--train", "DIR/rows.jsonl"},
     "?",
     {}},
    {"MaxLengthZero", prepare("rows.jsonl", {"--max-length", "0"}), "?", {}},
    {"MaxLengthBeyondTheModel", prepare("rows.jsonl", {"--max-length", "17"}), "?", {}},
    {"FractionsMakeMoreThanAll", prepare("rows.jsonl", {"--test-fraction", "nan"}), "?", {}},
    {"OutputExists", prepare("rows.jsonl"), "?", write("out/note.txt", "mine")},
    {"OutputBelowAFile", prepare("rows.jsonl", {}), "?", write("out", "mine")},
};
INSTANTIATE_TEST_SUITE_P(Text, Mistakes, testing::ValuesIn(kTexts), name_of);

std::string const kManifest = "data/manifest.json", kShard = "data/train-00001.h5";

Spoil flipped(std::int64_t at) {
    return [at](std::string const& dir) {
        std::fstream file(dir + "/" + kShard, std::ios::binary | std::ios::in | std::ios::out);
        file.seekg(at, at < 0 ? std::ios::end : std::ios::beg);
        auto const place = file.tellg();
        char const byte = static_cast<char>(file.get() ^ 4);
        file.seekp(place);
        file.put(byte);
    };
}

/// A shard with that token or label whose hash is right: made by another program, say.
Spoil shard(std::string const& folder, std::int32_t token, std::int32_t label) {
    return [=](std::string const& dir) {
        std::vector<data::Sample> samples(4);
        for (auto& s : samples) {
            s.tokens = {1, 2, 3};
            if (folder == "classes")
                s.label = 0;
            else
                s.token_labels = {2, 3, data::kIgnoredLabel};
        }
        samples[2].tokens[1] = token;
        if (folder == "classes") samples[3].label = label;
        auto manifest = data::read_manifest(dir + "/" + folder);
        manifest.splits["train"].shards[1] = data::write_shard(dir + "/" + folder, "train-00001.h5", samples);
        data::write_manifest(dir + "/" + folder, manifest);
    };
}

std::vector<std::string> const kClassify =
    train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert"});

std::vector<Mistake> const kDataSets{
    {"NoManifest", train(), "?", remove(kManifest)},
    {"NoFolder", train({"data.path=DIR/nowhere"}), "?", {}},
    {"ManifestNotJson", train(), "?", write(kManifest, "{\n\"format\":\n")},
    {"ManifestOfAnotherKind", train(), "?", change(kManifest, "trireme-dataset", "zip")},
    {"ManifestWithoutField", train(), "?", change(kManifest, "\"tokens\"", "\"tokuns\"")},
    {"ManifestWithNegativeCount", train(), "?", change(kManifest, "\"samples\": 4", "\"samples\": -4")},
    {"ManifestLeadsUp", train(), "?", change(kManifest, "train-00001.h5", "../rows.jsonl")},
    {"ManifestLeadsOutByALink", train(), "?",
     both(remove(kShard),
          [](std::string const& dir) { fs::create_symlink("../classes/train-00001.h5", dir + "/" + kShard); })},
    {"NoSuchSplit", train({"data.train=training"}), "?", {}},
    {"ShardMissing", train(), "?", remove(kShard)},
    {"ShardTruncated", train(), "?", [](std::string const& dir) { fs::resize_file(dir + "/" + kShard, 1000); }},
    {"ShardIsNotHdf5", train(), "?", flipped(1)},
    {"FlippedBit", train(), "?", flipped(-9)},
    {"WrongHash", train(), "?",
     [](std::string const& dir) {
         auto manifest = data::read_manifest(dir + "/data");
         manifest.splits["train"].shards[1].xxh3 = std::string(32, '0');
         data::write_manifest(dir + "/data", manifest);
     }},
    {"SamplesDoNotFit", train(), "?", change(kManifest, "\"samples\": 4", "\"samples\": 3")},
    {"TokenBeyondTheVocabulary", train(), "?", shard("data", 97, 0)},
    {"NegativeToken", train(), "?", shard("data", -1, 0)},
    {"LabelBeyondTheClasses", kClassify, "?", shard("classes", 1, 3)},
    {"OfAnotherTask", train({"data.path=DIR/classes"}), "?", {}},
    {"LongerThanTheModel", train(), "?",
     change("llama/config.json", "\"max_position_embeddings\": 16", "\"max_position_embeddings\": 8")},
    {"FewerSamplesThanAStep", train({"batch.global=500"}), "?", {}},
    {"InspectNothing", {"inspect", "DIR/nowhere"}, "?", {}},
    {"InspectBeyondTheEnd", {"inspect", "DIR/data", "--first", "99"}, "?", write("data/tokenizer.json", "{}")},
    {"InspectUnknownColor", {"inspect", "DIR/data", "--color", "blue"}, "?", {}},
    {"EvaluateNoSuchSplit", {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes"}, "?", {}},
    {"EvaluateOtherLabels",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train"},
     "?",
     change("classes/manifest.json", "\"so-so\"", "\"fair\"")},
    {"EvaluateLanguageWithABert",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/data", "--split", "train"},
     "?",
     {}},
    {"EvaluateEmptySlots",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train", "--tokens-per-slot", "0"},
     "?",
     {}},
};
INSTANTIATE_TEST_SUITE_P(DataSet, Mistakes, testing::ValuesIn(kDataSets), name_of);

} // namespace
} // namespace trireme::test
