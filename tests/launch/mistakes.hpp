// Mistakes that a user may make, each with the one line that the command answers it with.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace trireme::test {

/// In every text DIR stands for the folder of the scene (write_scene).
struct Mistake {
    char const* name;
    std::vector<std::string> arguments; ///< of trireme
    std::string line;                   ///< all that is printed, after "trireme: "
    /// what is wrong with DIR; none: the arguments alone are wrong
    std::function<void(std::string const&)> spoil;
    friend std::ostream& operator<<(std::ostream& out, Mistake const& m) { return out << m.name; }
};

/// Runs the real command: exit code 2, exactly that line, not a byte changed in the scene.
class Mistakes : public testing::TestWithParam<Mistake> {};

inline std::string name_of(testing::TestParamInfo<Mistake> const& info) {
    return info.param.name;
}

/// Everything a run needs, and right: DIR/llama and DIR/bert (tiny models with weights and
/// tokenizer), DIR/data (language modelling), DIR/classes (classification, labels bad, good,
/// so-so), DIR/rows.jsonl, DIR/run.yaml (its run folder would be DIR/run).
void write_scene(std::string const& folder);
/// Paths, sizes and content of all files below `folder`.
std::vector<std::string> snapshot(std::string const& folder);
std::string replaced(std::string text, std::string const& from, std::string const& to);

// Steps that `spoil` is made of; PATH is inside the scene.
std::function<void(std::string const&)> write(std::string const& path, std::string const& text);
std::function<void(std::string const&)> change(std::string const& path, std::string const& from,
                                               std::string const& to);
std::function<void(std::string const&)> remove(std::string const& path);
/// Changes the header of DIR/llama/model.safetensors.
std::function<void(std::string const&)>
header(std::function<void(nlohmann::ordered_json&)> const& edit);
/// Two changes, one after the other.
std::function<void(std::string const&)> both(std::function<void(std::string const&)> const& first,
                                             std::function<void(std::string const&)> const& second);

/// trireme train DIR/run.yaml --set ...
std::vector<std::string> train(std::vector<std::string> const& set = {});
/// trireme prepare for classification of DIR/INPUT into DIR/out.
std::vector<std::string> prepare(std::string const& input,
                                 std::vector<std::string> const& more = {});

inline std::string const kGoodRow = "{\"text\": \"a\", \"label\": \"x\"}\n";
/// trireme prepare of FILE with that content.
Mistake rows(char const* name, std::string const& file, std::string const& text,
             std::string const& line);

} // namespace trireme::test
