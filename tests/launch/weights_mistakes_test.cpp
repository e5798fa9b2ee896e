// Mistakes in the weights of a Hugging Face folder.
#include <sys/stat.h>

#include <cmath>
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
    return write(kWeights, std::string(reinterpret_cast<char const*>(&size), 8) + text +
                               std::string(bytes, '\0'));
}

/// The weights as two shards of an index; `edit` spoils the index.
std::function<void(std::string const&)> index(std::function<void(Header&)> const& edit) {
    return [edit](std::string const& folder) {
        Header json;
        Header const shard =
            Header::parse(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})");
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
    {"NoWeights", train(),
     "DIR/llama: no weights; legal: model.safetensors, or model.safetensors.index.json with its "
     "shards",
     remove(kWeights)},
    {"Empty", train(),
     "DIR/llama/model.safetensors: 0 bytes: not a safetensors file, or truncated; legal: 8 bytes "
     "of header length, "
     "then the header",
     write(kWeights, "")},
    {"HeaderOverLimit", train(),
     "DIR/llama/model.safetensors: a header of 100000001 bytes: not a safetensors file? legal: at "
     "most 100000000",
     write(kWeights, std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}")},
    {"HeaderLongerThanFile", train(),
     "DIR/llama/model.safetensors: a header of 16 bytes in a file of 10: not a safetensors file, "
     "or truncated; legal: "
     "a header inside the file",
     write(kWeights, std::string("\x10\0\0\0\0\0\0\0", 8) + "{}")},
    {"Truncated", train(),
     "DIR/llama/model.safetensors: model.layers.1.mlp.up_proj.weight: data_offsets [44256, 48096]: "
     "legal: inside the "
     "47904 bytes of data; the file may be truncated",
     [](std::string const& folder) { fs::resize_file(folder + "/" + kWeights, 50'000); }},
    {"NotJson", train(),
     "DIR/llama/model.safetensors: header:1:8: not JSON: syntax error while parsing value - "
     "invalid literal; last "
     "read: '\"a\": no'",
     weights("{\"a\": nonsense}")},
    {"NotAnObject", train(), "DIR/llama/model.safetensors: header: legal: a JSON object of tensors",
     weights("[1]")},
    {"DeepNesting", train(),
     "DIR/llama/model.safetensors: header: nested deeper than the 64 levels that are legal",
     weights(std::string(100'000, '['))},
    {"DuplicateKey", train(),
     "DIR/llama/model.safetensors: header: key \"a\" is given twice in one object; legal: once",
     weights(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": 1})", 4)},
    {"Overlap", train(),
     "DIR/llama/model.safetensors: lm_head.weight: data_offsets begin at 0: an overlap: legal: 96, "
     "where the tensor "
     "before it ends",
     header([](Header& h) {
         h[kNorm]["data_offsets"] = {0, 96};
     })},
    {"Hole", train(),
     "DIR/llama/model.safetensors: model.layers.0.mlp.down_proj.weight: data_offsets begin at "
     "18720: a hole: legal: "
     "18624, where the tensor before it ends",
     header([](Header& h) { h.erase("model.layers.0.input_layernorm.weight"); })},
    {"OutOfRange", train(),
     "DIR/llama/model.safetensors: model.norm.weight: data_offsets [0, 1000000]: legal: inside the "
     "54432 bytes of "
     "data; the file may be truncated",
     header([](Header& h) {
         h[kNorm]["data_offsets"] = {0, 1'000'000};
     })},
    {"OffsetsOfOneNumber", train(),
     "DIR/llama/model.safetensors: model.norm.weight: data_offsets: legal: two numbers, [begin, "
     "end]",
     header([](Header& h) { h[kNorm]["data_offsets"] = {0}; })},
    {"BadDtype", train(),
     "DIR/llama/model.safetensors: model.norm.weight: dtype F33: legal: F64, F32, F16, BF16 (and "
     "integers for buffers)",
     header([](Header& h) { h[kNorm]["dtype"] = "F33"; })},
    {"DtypeIsNoText", train(),
     "DIR/llama/model.safetensors: model.norm.weight: dtype: 32: legal: a text",
     header([](Header& h) { h[kNorm]["dtype"] = 32; })},
    {"IntegerWeight", train(),
     "DIR/llama/model.safetensors: model.norm.weight: dtype I32: legal for a weight: F64, F32, "
     "F16, BF16",
     header([](Header& h) { h[kNorm]["dtype"] = "I32"; })},
    {"ShapeDoesNotFitBytes", train(),
     "DIR/llama/model.safetensors: model.norm.weight: shape [25] of F32: legal: as many elements "
     "as its 96 bytes of "
     "data_offsets hold",
     header([](Header& h) { h[kNorm]["shape"] = {25}; })},
    {"ImpossibleShape", train(),
     "DIR/llama/model.safetensors: model.norm.weight: shape [1099511627776, 1099511627776]: legal: "
     "whole numbers >= 0 "
     "whose product fits in 64 bits",
     header([](Header& h) {
         h[kNorm]["shape"] = {INT64_C(1) << 40, INT64_C(1) << 40};
     })},
    {"WrongShape", train(),
     "DIR/llama/model.safetensors: model.norm.weight: shape [4, 6]: legal: [24], as config.json "
     "says",
     header([](Header& h) {
         h[kNorm]["shape"] = {4, 6};
     })},
    {"MissingTensor", train(),
     "DIR/llama: tensor model.norm.weight is missing; legal: every tensor that "
     "DIR/llama/config.json describes",
     header([](Header& h) { h["model.norm.bias"] = h[kNorm], h.erase(kNorm); })},
    {"MissingTensorInADryRun",
     {"train", "DIR/run.yaml", "--dry-run"},
     "DIR/llama: tensor model.norm.weight is missing; legal: every tensor that "
     "DIR/llama/config.json describes",
     header([](Header& h) { h["model.norm.bias"] = h[kNorm], h.erase(kNorm); })},
    {"ExtraTensor", train(),
     "DIR/llama/model.safetensors: tensor model.layers.7.norm.weight has no place in this llama "
     "model of 2 layers; "
     "legal: the tensors that DIR/llama/config.json describes",
     header([](Header& h) {
         h["model.layers.7.norm.weight"] = {
             {"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
     })},
    {"NotANumber", train(),
     "DIR/llama/model.safetensors: model.norm.weight: 1 of its 24 values are NaN or infinite; "
     "legal: finite numbers",
     last_value(NAN)},
    {"Infinite", train(),
     "DIR/llama/model.safetensors: model.norm.weight: 1 of its 24 values are NaN or infinite; "
     "legal: finite numbers",
     last_value(-INFINITY)},
    {"IsAFolder", train(),
     "DIR/llama/model.safetensors: cannot be read: it is a folder; legal: a file",
     both(remove(kWeights),
          [](std::string const& folder) { fs::create_directories(folder + "/" + kWeights); })},
    {"IndexNotJson", train(),
     "DIR/llama/model.safetensors.index.json:1:1: not JSON: syntax error while parsing value - "
     "invalid literal; last "
     "read: 'w'",
     both(remove(kWeights), write(std::string(kWeights) + ".index.json", "weights"))},
    {"IndexWithoutMap", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: legal: an object that gives each "
     "tensor's file",
     index([](Header& json) { json = Header::array(); })},
    {"IndexLeadsUp", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: file \"../bert/model.safetensors\": "
     "legal: the bare name "
     "of a file in the same folder",
     index_entry("a", "../bert/model.safetensors")},
    {"IndexIsAbsolute", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: file \"/etc/passwd\": legal: the bare "
     "name of a file in "
     "the same folder",
     index_entry("a", "/etc/passwd")},
    {"IndexLeadsOutByALink", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: DIR/llama/link.safetensors: a link to "
     "DIR/bert/model.safetensors: legal: a file in the same folder",
     both(index_entry("a", "link.safetensors"),
          [](std::string const& folder) {
              fs::create_symlink("../bert/model.safetensors", folder + "/llama/link.safetensors");
          })},
    {"IndexNamesAPipe", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: DIR/llama/pipe.safetensors: cannot be "
     "read: it is a pipe, "
     "socket or device; legal: a regular file",
     both(index_entry("a", "pipe.safetensors"),
          [](std::string const& folder) {
              ASSERT_EQ(mkfifo((folder + "/llama/pipe.safetensors").c_str(), 0600), 0);
          })},
    {"IndexNamesAFolder", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: DIR/llama/folder.safetensors: cannot "
     "be read: it is a "
     "folder; legal: a file",
     both(index_entry("a", "folder.safetensors"),
          [](std::string const& folder) {
              fs::create_directories(folder + "/llama/folder.safetensors");
          })},
    {"ShardMissing", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: a: DIR/llama/third.safetensors: cannot "
     "be read: No such file "
     "or directory",
     index_entry("a", "third.safetensors")},
    {"TensorNotInItsShard", train(),
     "DIR/llama/model.safetensors.index.json: weight_map: b: \"first.safetensors\": legal: a file "
     "that holds this "
     "tensor",
     index_entry("b", "first.safetensors")},
};
INSTANTIATE_TEST_SUITE_P(Safetensors, Mistakes, testing::ValuesIn(kSafetensors), name_of);

} // namespace
} // namespace trireme::test
