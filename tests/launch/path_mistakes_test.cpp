// Paths that the system itself refuses: circles of links, names that are too long, nothing at all.
#include <filesystem>

#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

/// A link to itself: the system refuses every path through it, and std::filesystem throws.
void circle(std::string const& dir) {
    fs::create_symlink("circle", dir + "/circle");
}

std::vector<Mistake> const kPaths{
    {"StatusOfACircleOfLinks",
     {"status", "DIR/circle"},
     "DIR/circle/metrics.jsonl: cannot be read: Too many levels of symbolic links",
     circle},
    {"ExportOfACircleOfLinks",
     {"export", "--run", "DIR/circle", "--output", "DIR/out"},
     "DIR/circle: cannot be read: Too many levels of symbolic links",
     circle},
    {"DiffOfACircleOfLinks",
     {"checkpoint", "diff", "DIR/circle", "DIR/run"},
     "DIR/circle/manifest.json: cannot be read: Too many levels of symbolic links",
     circle},
    {"StatusOfANameThatIsTooLong",
     {"status", std::string(300, 'n')},
     std::string(300, 'n') + "/metrics.jsonl: cannot be read: File name too long",
     {}},
    {"OutputIsEmpty",
     {"export", "--run", "DIR/data", "--output", ""},
     "--output: empty; legal: a folder, or one to make",
     {}},
};
INSTANTIATE_TEST_SUITE_P(Paths, Mistakes, testing::ValuesIn(kPaths), name_of);

} // namespace
} // namespace trireme::test
