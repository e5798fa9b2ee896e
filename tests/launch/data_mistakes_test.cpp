// Mistakes in prepared data sets.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "data/manifest.hpp"
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Spoil = std::function<void(std::string const&)>;

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
                s.labels[data::kClassLabel.name] = {0};
            else
                s.labels[data::kTokenLabels.name] = {2, 3, data::kIgnoredLabel};
        }
        samples[2].tokens[1] = token;
        if (folder == "classes") samples[3].labels[data::kClassLabel.name] = {label};
        auto manifest = data::read_manifest(dir + "/" + folder);
        manifest.splits["train"].shards[1] = data::write_shard(
            dir + "/" + folder, "train-00001.h5", samples, {manifest.task, manifest.labels});
        data::write_manifest(dir + "/" + folder, manifest);
    };
}

/// A label of another name, by a program that knows the format.
Spoil label_renamed(std::string const& folder, std::string const& from, std::string const& to) {
    return [=](std::string const& dir) {
        auto manifest = data::read_manifest(dir + "/" + folder);
        std::ranges::replace(manifest.labels, from, to);
        data::write_manifest(dir + "/" + folder, manifest);
    };
}

/// Four texts of one token, which predicts nothing, are all of the training split.
void nothing_counts(std::string const& dir) {
    std::string const folder = dir + "/data";
    auto manifest = data::read_manifest(folder);
    data::Sample one;
    one.tokens = {1};
    one.labels[data::kTokenLabels.name] = {data::kIgnoredLabel};
    manifest.splits["train"].shards = {
        data::write_shard(folder, "one.h5", std::vector<data::Sample>(4, one), {})};
    data::write_manifest(folder, manifest);
}

std::vector<std::string> const kClassify =
    train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert"});

std::vector<Mistake> const kDataSets{
    {"NoManifest", train(),
     "DIR/data/manifest.json: no such file; legal: a folder that `trireme prepare` wrote",
     remove(kManifest)},
    {"NoFolder",
     train({"data.path=DIR/nowhere"}),
     "DIR/nowhere/manifest.json: no such file; legal: a folder that `trireme prepare` wrote",
     {}},
    {"ManifestNotJson", train(),
     "DIR/data/manifest.json:3:1: not JSON: syntax error while parsing value - unexpected end of "
     "input; expected '[', '{', or a literal",
     write(kManifest, "{\n\"format\":\n")},
    {"ManifestOfAnotherKind", train(),
     "DIR/data/manifest.json: format: \"zip\": legal: trireme-dataset",
     change(kManifest, "trireme-dataset", "zip")},
    {"ManifestWithoutField", train(),
     "DIR/data/manifest.json: splits.train.shards[0]: tokens: missing; legal: a whole number",
     change(kManifest, "\"tokens\"", "\"tokuns\"")},
    {"ManifestWithNegativeCount", train(),
     "DIR/data/manifest.json: splits.train.shards[1]: samples: -4: legal: a whole number >= 1",
     change(kManifest, "\"samples\": 4", "\"samples\": -4")},
    {"ManifestChanged", train(),
     "DIR/data/manifest.json: not what `trireme prepare` wrote: its hash of itself does not match; "
     "legal: the file as it was written; prepare the data again",
     change(kManifest, "\"max_length\": ", "\"max_length\":  ")},
    {"ManifestLeadsUp", train(),
     "DIR/data/manifest.json: file \"../rows.jsonl\": legal: the bare name of a file in the same "
     "folder",
     change(kManifest, "train-00001.h5", "../rows.jsonl")},
    {"ManifestLeadsOutByALink", train(),
     "DIR/data/train-00001.h5: a link to DIR/classes/train-00001.h5: legal: a file in the same "
     "folder",
     both(remove(kShard),
          [](std::string const& dir) {
              fs::create_symlink("../classes/train-00001.h5", dir + "/" + kShard);
          })},
    {"NoSuchSplit",
     train({"data.train=training"}),
     "DIR/data/manifest.json: no split \"training\"; legal: train, validation",
     {}},
    {"ShardMissing", train(), "DIR/data/train-00001.h5: cannot be read: No such file or directory",
     remove(kShard)},
    {"ShardTruncated", train(),
     "DIR/data/train-00001.h5: 1000 bytes, the manifest says 13176; prepare the data again",
     [](std::string const& dir) { fs::resize_file(dir + "/" + kShard, 1000); }},
    {"ShardIsNotHdf5", train(),
     "DIR/data/train-00001.h5: content does not match the hash in the manifest; prepare the data "
     "again",
     flipped(1)},
    {"ShardIsNotHdf5InADryRun",
     {"train", "DIR/run.yaml", "--dry-run"},
     "DIR/data/train-00001.h5: content does not match the hash in the manifest; prepare the data "
     "again",
     flipped(1)},
    {"ShardIsNotHdf5InInspect",
     {"inspect", "DIR/data", "--first", "23"},
     "DIR/data/train-00001.h5: content does not match the hash in the manifest; prepare the data "
     "again",
     flipped(1)},
    {"ManifestOfAnOlderTrireme", train(),
     "DIR/data/manifest.json: splits.train.shards[0]: columns: missing: made by an older trireme; "
     "prepare the data again",
     change(kManifest, "\"columns\"", "\"column\"")},
    {"FlippedBit", train(),
     "DIR/data/train-00001.h5: content does not match the hash in the manifest; prepare the data "
     "again",
     flipped(-9)},
    {"WrongHash", train(),
     "DIR/data/train-00001.h5: content does not match the hash in the manifest; prepare the data "
     "again",
     [](std::string const& dir) {
         auto manifest = data::read_manifest(dir + "/data");
         manifest.splits["train"].shards[1].xxh3 = std::string(32, '0');
         data::write_manifest(dir + "/data", manifest);
     }},
    {"SamplesDoNotFit", train(),
     "DIR/data/manifest.json: train-00001.h5: column tokens/offsets: 5 elements of int64 at 3136: "
     "legal: 4 of int64 inside the 13176 bytes of the file; prepare the data again",
     change(kManifest, "\"samples\": 4", "\"samples\": 3")},
    {"TokenBeyondTheVocabulary", train(),
     "DIR/data/train-00001.h5: sample 2: token 97: legal: 0 to 96, the vocabulary of the manifest",
     shard("data", 97, 0)},
    {"NegativeToken", train(),
     "DIR/data/train-00001.h5: sample 2: token -1: legal: 0 to 96, the vocabulary of the manifest",
     shard("data", -1, 0)},
    {"LabelBeyondTheClasses", kClassify,
     "DIR/classes/train-00001.h5: sample 3: label 3: legal: 0 to 2, the labels of the manifest",
     shard("classes", 1, 3)},
    {"OfAnotherTask",
     train({"data.path=DIR/classes"}),
     "task: language-modeling: legal: classification, for which the data in DIR/classes were "
     "prepared",
     {}},
    {"LongerThanTheModel", train(),
     "DIR/data: its longest sample has 11 tokens, DIR/llama has positions for 8; prepare it with "
     "--max-length 8",
     change("llama/config.json", "\"max_position_embeddings\": 16",
            "\"max_position_embeddings\": 8")},
    {"SegmentsBeyondTheModel",
     train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert"}),
     "DIR/classes: its tokens have segments from 0 to 2, DIR/bert has room for 2 "
     "(type_vocab_size); prepare the data with the model's own tokenizer",
     change("classes/manifest.json", "\"segments\": 1", "\"segments\": 3")},
    {"SegmentsBeyondTheModelInADryRun",
     {"train", "DIR/run.yaml", "--dry-run", "--set", "task=classification", "--set",
      "data.path=DIR/classes", "--set", "model.path=DIR/bert"},
     "DIR/classes: its tokens have segments from 0 to 2, DIR/bert has room for 2 "
     "(type_vocab_size); prepare the data with the model's own tokenizer",
     change("classes/manifest.json", "\"segments\": 1", "\"segments\": 3")},
    {"EvaluateSegmentsBeyondTheModel",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train"},
     "DIR/classes: its tokens have segments from 0 to 2, DIR/bert has room for 2 "
     "(type_vocab_size); prepare the data with the model's own tokenizer",
     [](std::string const& dir) { // with a right hash of the manifest
         auto manifest = data::read_manifest(dir + "/classes");
         for (auto& [name, split] : manifest.splits)
             for (auto& shard : split.shards) shard.segments = 3;
         data::write_manifest(dir + "/classes", manifest);
     }},
    {"FewerSamplesThanAStep",
     train({"batch.global=500"}),
     "batch.global: 500: DIR/data has only 24 training samples; legal: at most that",
     {}},
    {"InspectNothing",
     {"inspect", "DIR/nowhere"},
     "DIR/nowhere/manifest.json: no such file; legal: a folder that `trireme prepare` wrote",
     {}},
    {"InspectBeyondTheEnd",
     {"inspect", "DIR/data", "--first", "99"},
     "--first: 99: legal: 0 to 23, the samples of DIR/data train",
     write("data/tokenizer.json", "{}")},
    {"InspectUnknownColor",
     {"inspect", "DIR/data", "--color", "blue"},
     "--color: blue: legal: auto, always, never",
     {}},
    {"EvaluateNoSuchSplit",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes"},
     "DIR/classes/manifest.json: no split \"test\"; legal: train, validation",
     {}},
    {"EvaluateOtherLabels",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train"},
     "DIR/bert: it was not trained for these labels (new, from seed 1: classifier.weight, "
     "classifier.bias); legal: a model that `trireme export` wrote for the labels of DIR/classes",
     label_renamed("classes", "so-so", "fair")},
    {"EvaluateLanguageWithABert",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/data", "--split", "train"},
     "task: language-modeling: DIR/bert is a bert encoder; legal: classification, regression, "
     "multi-label, token-classification, question-answering, masked-language-modeling",
     {}},
    {"EvaluateAClassifierOfAnotherLoss",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train"},
     "DIR/bert/config.json: problem_type: multi_label_classification: legal: "
     "single_label_classification",
     change("bert/config.json", "\"model_type\": \"bert\"",
            "\"model_type\": \"bert\", \"problem_type\": \"multi_label_classification\"")},
    {"EvaluateLanguageWithAClassifier",
     {"evaluate", "--model", "DIR/llama", "--data", "DIR/data", "--split", "train"},
     "DIR/llama: score.weight: the head of a classifier; legal: a model that was trained as a "
     "language model",
     header([](nlohmann::ordered_json& h) {
         h["score.weight"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
     })},
    {"EvaluateWhereNothingCounts",
     {"evaluate", "--model", "DIR/llama", "--data", "DIR/data", "--split", "train"},
     "DIR/data: none of the 4 samples of a split has a label that is trained; legal: at least one: "
     "prepare the data with a larger --max-length, or with other columns",
     nothing_counts},
    {"EvaluateEmptyMicroBatches",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train",
      "--tokens-per-micro-batch", "0"},
     "--tokens-per-micro-batch: 0: legal: a whole number >= 1",
     {}},
    {"EvaluateOtherKeys",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train", "--set",
      "numerics.mode=fast"},
     "--set numerics.mode=fast: legal for trireme evaluate: KEY=VALUE with parallel., "
     "numerics.compute",
     {}},
    {"EvaluateOtherCompute",
     {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "train", "--set",
      "numerics.compute=fp16"},
     "--set: numerics.compute: fp16: legal: fp64, fp32, bf16",
     {}},
};
INSTANTIATE_TEST_SUITE_P(DataSet, Mistakes, testing::ValuesIn(kDataSets), name_of);

} // namespace
} // namespace trireme::test
