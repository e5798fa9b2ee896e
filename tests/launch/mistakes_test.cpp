// Each mistake against the real command.
#include "tests/launch/mistakes.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

Outcome run_in(std::string const& folder, std::vector<std::string> arguments) {
    for (auto& word : arguments) word = replaced(word, "DIR", folder);
    Outcome outcome = run_command(trireme(0, arguments));
    outcome.output = replaced(outcome.output, folder, "DIR");
    return outcome;
}

TEST_P(Mistakes, GetOneLine) {
    TemporaryFolder const folder;
    write_scene(folder.path());
    if (GetParam().spoil) GetParam().spoil(folder.path());
    auto const before = snapshot(folder.path());
    Outcome const outcome = run_in(folder.path(), GetParam().arguments);
    EXPECT_EQ(outcome.output, "trireme: " + GetParam().line + "\n");
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(snapshot(folder.path()), before);
}

/// Proves that the mistakes above are not refused for something else.
TEST(MistakesScene, IsRightUntilItIsSpoilt) {
    TemporaryFolder const folder;
    write_scene(folder.path());
    for (auto const& arguments :
         {train(),
          train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert",
                 "run=DIR/run2"}),
          prepare("rows.jsonl"),
          {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "validation"},
          {"export", "--run", "DIR/run", "--output", "DIR/exported"},
          {"plot", "--run", "DIR/run", "--output", "DIR/curves.svg"},
          {"checkpoint", "verify", "--run", "DIR/run"}}) {
        Outcome const outcome = run_in(folder.path(), arguments);
        EXPECT_EQ(outcome.exit_code, 0) << arguments[0] << ": " << outcome.output;
    }
}

/// Overwrites a float32 tensor of DIR/llama.
void fill(std::string const& folder, char const* tensor, float value) {
    std::fstream file(folder + "/llama/model.safetensors",
                      std::ios::binary | std::ios::in | std::ios::out);
    std::uint64_t size = 0;
    file.read(reinterpret_cast<char*>(&size), 8);
    std::string header(size, ' ');
    file.read(header.data(), static_cast<std::streamsize>(size));
    auto const place = nlohmann::json::parse(header)
                           .at(tensor)
                           .at("data_offsets")
                           .get<std::vector<std::uint64_t>>();
    std::vector<float> const values((place.at(1) - place[0]) / sizeof(float), value);
    file.seekp(static_cast<std::streamoff>(8 + size + place[0]));
    file.write(reinterpret_cast<char const*>(values.data()),
               static_cast<std::streamsize>(place[1] - place[0]));
}

TEST(MistakesScene, ALossThatIsNoNumberIsNoResult) {
    TemporaryFolder const folder;
    write_scene(folder.path());
    std::vector<std::string> const evaluate{"evaluate", "--model",       "DIR/llama",
                                            "--data",   "DIR/data",      "--split",
                                            "train",    "--predictions", "DIR/out.jsonl"};
    fill(folder.path(), "model.norm.weight", 3e38F);
    fill(folder.path(), "lm_head.weight", 1e3F);
    Outcome const outcome = run_in(folder.path(), evaluate);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.output.find(
                  "DIR/llama: sample 0 of DIR/data train: the loss is not a finite number: the "
                  "weights are too large for float32; --set numerics.compute=fp64 "),
              std::string::npos)
        << outcome.output;
    EXPECT_FALSE(std::filesystem::exists(folder.path() + "/out.jsonl"));
}

} // namespace
} // namespace trireme::test
