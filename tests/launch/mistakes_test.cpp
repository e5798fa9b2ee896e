// Each mistake against the real command.
#include "tests/launch/mistakes.hpp"
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

/// Without it every mistake above might be refused for something else.
TEST(MistakesScene, IsRightUntilItIsSpoilt) {
    TemporaryFolder const folder;
    write_scene(folder.path());
    for (auto const& arguments :
         {train(),
          train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert", "run=DIR/run2"}),
          prepare("rows.jsonl"),
          {"evaluate", "--model", "DIR/bert", "--data", "DIR/classes", "--split", "validation"},
          {"export", "--run", "DIR/run", "--output", "DIR/exported"},
          {"plot", "--run", "DIR/run", "--output", "DIR/curves.svg"},
          {"checkpoint", "verify", "--run", "DIR/run"}}) {
        Outcome const outcome = run_in(folder.path(), arguments);
        EXPECT_EQ(outcome.exit_code, 0) << arguments[0] << ": " << outcome.output;
    }
}

} // namespace
} // namespace trireme::test
