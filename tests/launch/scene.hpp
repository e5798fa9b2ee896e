// A folder with everything a run needs, in which the real command runs.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/launch/mistakes.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

/// In arguments and output DIR stands for the folder.
class Scene : public testing::Test {
  protected:
    Scene() { write_scene(dir()); }
    std::string const& dir() const { return folder_.path(); }
    Outcome run(std::vector<std::string> arguments, int ranks = 0) const {
        for (auto& word : arguments) word = replaced(word, "DIR", dir());
        Outcome outcome = run_command(trireme(ranks, arguments));
        outcome.output = replaced(outcome.output, dir(), "DIR");
        return outcome;
    }
    TemporaryFolder folder_;
};

} // namespace trireme::test
