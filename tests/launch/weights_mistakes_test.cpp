// Mistakes in a Hugging Face folder: safetensors, config.json, tokenizer.json.
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Header = nlohmann::ordered_json;

constexpr char const* kWeights = "llama/model.safetensors";
constexpr char const* kNorm = "model.norm.weight";

/// A file of that header and `bytes` of data.
std::function<void(std::string const&)> weights(std::string const& text, std::size_t bytes = 0) {
    std::uint64_t const size = text.size();
    return write(kWeights, std::string(reinterpret_cast<char const*>(&size), 8) + text + std::string(bytes, '\0'));
}

/// The weights as two shards of an index; `edit` spoils the index.
std::function<void(std::string const&)> index(std::function<void(Header&)> const& edit) {
    return [edit](std::string const& folder) {
        Header json;
        Header const shard = Header::parse(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})");
        fs::rename(folder + "/" + kWeights, folder + "/llama/first.safetensors");
        std::uint64_t const size = shard.dump().size();
        write("llama/second.safetensors",
              std::string(reinterpret_cast<char const*>(&size), 8) + shard.dump() + "1234")(folder);
        json["weight_map"] = {{kNorm, "first.safetensors"}, {"a", "second.safetensors"}};
        edit(json);
        write(std::string(kWeights) + ".index.json", json.dump())(folder);
    };
}
std::function<void(std::string const&)> index_entry(char const* tensor, char const* file) {
    return index([=](Header& json) { json["weight_map"][tensor] = file; });
}

/// Overwrites the last value of the weights.
std::function<void(std::string const&)> last_value(float value) {
    return [value](std::string const& folder) {
        std::fstream file(folder + "/" + kWeights, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(-4, std::ios::end);
        file.write(reinterpret_cast<char const*>(&value), 4);
    };
}

std::vector<Mistake> const kSafetensors{
    {"NoWeights", train(), "?", remove(kWeights)},
    {"Empty", train(), "?", write(kWeights, "")},
    {"HeaderOverLimit", train(), "?", write(kWeights, std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}")},
    {"HeaderLongerThanFile", train(), "?", write(kWeights, std::string("\x10\0\0\0\0\0\0\0", 8) + "{}")},
    {"Truncated", train(), "?", [](std::string const& folder) { fs::resize_file(folder + "/" + kWeights, 50'000); }},
    {"NotJson", train(), "?", weights("{\"a\": nonsense}")},
    {"NotAnObject", train(), "?", weights("[1]")},
    {"DeepNesting", train(), "?", weights(std::string(100'000, '['))},
    {"DuplicateKey", train(), "?",
     weights(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": 1})", 4)},
    {"Overlap", train(), "?", header([](Header& h) {
         h[kNorm]["data_offsets"] = {0, 96};
     })},
    {"Hole", train(), "?", header([](Header& h) { h.erase("model.layers.0.input_layernorm.weight"); })},
    {"OutOfRange", train(), "?", header([](Header& h) {
         h[kNorm]["data_offsets"] = {0, 1'000'000};
     })},
    {"OffsetsOfOneNumber", train(), "?", header([](Header& h) { h[kNorm]["data_offsets"] = {0}; })},
    {"BadDtype", train(), "?", header([](Header& h) { h[kNorm]["dtype"] = "F33"; })},
    {"DtypeIsNoText", train(), "?", header([](Header& h) { h[kNorm]["dtype"] = 32; })},
    {"IntegerWeight", train(), "?", header([](Header& h) { h[kNorm]["dtype"] = "I32"; })},
    {"ShapeDoesNotFitBytes", train(), "?", header([](Header& h) { h[kNorm]["shape"] = {25}; })},
    {"ImpossibleShape", train(), "?", header([](Header& h) {
         h[kNorm]["shape"] = {INT64_C(1) << 40, INT64_C(1) << 40};
     })},
    {"WrongShape", train(), "?", header([](Header& h) {
         h[kNorm]["shape"] = {4, 6};
     })},
    {"MissingTensor", train(), "?", header([](Header& h) { h["model.norm.bias"] = h[kNorm], h.erase(kNorm); })},
    {"ExtraTensor", train(), "?", header([](Header& h) {
         h["model.layers.7.norm.weight"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
     })},
    {"NotANumber", train(), "?", last_value(NAN)},
    {"Infinite", train(), "?", last_value(-INFINITY)},
    {"IsAFolder", train(), "?",
     both(remove(kWeights), [](std::string const& folder) { fs::create_directories(folder + "/" + kWeights); })},
    {"IndexNotJson", train(), "?", both(remove(kWeights), write(std::string(kWeights) + ".index.json", "weights"))},
    {"IndexWithoutMap", train(), "?", index([](Header& json) { json = Header::array(); })},
    {"IndexLeadsUp", train(), "?", index_entry("a", "../bert/model.safetensors")},
    {"IndexIsAbsolute", train(), "?", index_entry("a", "/etc/passwd")},
    {"IndexLeadsOutByALink", train(), "?",
     both(index_entry("a", "link.safetensors"),
          [](std::string const& folder) {
              fs::create_symlink("../bert/model.safetensors", folder + "/llama/link.safetensors");
          })},
    {"IndexNamesAPipe", train(), "?",
     both(index_entry("a", "pipe.safetensors"),
          [](std::string const& folder) { ASSERT_EQ(mkfifo((folder + "/llama/pipe.safetensors").c_str(), 0600), 0); })},
    {"IndexNamesAFolder", train(), "?",
     both(index_entry("a", "folder.safetensors"),
          [](std::string const& folder) { fs::create_directories(folder + "/llama/folder.safetensors"); })},
    {"ShardMissing", train(), "?", index_entry("a", "third.safetensors")},
    {"TensorNotInItsShard", train(), "?", index_entry("b", "first.safetensors")},
};
INSTANTIATE_TEST_SUITE_P(Safetensors, Mistakes, testing::ValuesIn(kSafetensors), name_of);

std::string const kConfig = "llama/config.json";

std::vector<Mistake> const kConfigs{
    {"NoFolder", train({"model.path=DIR/nowhere"}), "?", {}},
    {"Missing", train(), "?", remove(kConfig)},
    {"NotJson", train(), "?", write(kConfig, "{\"hidden_size\": 24,\n \"oops}\n")},
    {"NotAnObject", train(), "?", write(kConfig, "[]")},
    {"DeepNesting", train(), "?", write(kConfig, std::string(100'000, '['))},
    {"UnknownArchitecture", train(), "?", change(kConfig, "\"llama\"", "\"lama\"")},
    {"UnknownField", train(), "?", change(kConfig, "\"head_dim\"", "\"head_dims\"")},
    {"WrongType", train(), "?", change(kConfig, "\"hidden_size\": 24", "\"hidden_size\": \"24\"")},
    {"NegativeSize", train(), "?", change(kConfig, "\"hidden_size\": 24", "\"hidden_size\": -24")},
    {"FieldMissing", train(), "?", change(kConfig, "\"hidden_size\": 24,", "")},
    {"EndlessLayers", train(), "?", change(kConfig, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2000000000")},
    {"HeadsDoNotDivide", train(), "?", change(kConfig, "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2")},
    {"HeadsDoNotDivideHidden", train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert"}), "?",
     change("bert/config.json", "\"num_attention_heads\": 3", "\"num_attention_heads\": 5")},
    {"RopeOfAnotherKind", train(), "?", change(kConfig, "\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"")},
};
INSTANTIATE_TEST_SUITE_P(ConfigJson, Mistakes, testing::ValuesIn(kConfigs), name_of);

std::vector<Mistake> const kTokenizers{
    {"Missing", prepare("rows.jsonl"), "?", remove("bert/tokenizer.json")},
    {"NotJson", prepare("rows.jsonl"), "?", write("bert/tokenizer.json", "{")},
    {"NotATokenizer", prepare("rows.jsonl"), "?", write("bert/tokenizer.json", "{\"version\": \"1.0\"}")},
    {"LargerThanTheModelBesideIt", prepare("rows.jsonl"), "?",
     change("bert/config.json", "\"vocab_size\": 97", "\"vocab_size\": 7")},
    {"LargerThanTheTrainedModel", train(), "?",
     change("data/manifest.json", "\"vocabulary\": 97", "\"vocabulary\": 98")},
};
INSTANTIATE_TEST_SUITE_P(Tokenizer, Mistakes, testing::ValuesIn(kTokenizers), name_of);

} // namespace
} // namespace trireme::test
