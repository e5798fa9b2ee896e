// Helps tests that prepare data as a user does.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

inline std::string const kTokenizer = std::string(TRIREME_GOLDEN) + "/tokenizer";

class Prepare : public testing::Test {
  protected:
    std::string file(std::string const& name, std::string const& text) const {
        std::string path = folder_.path() + "/" + name;
        cluster::write_file(path, text);
        return path;
    }
    std::string out(char const* name = "out") const { return folder_.path() + "/" + name; }
    Outcome prepare(std::vector<std::string> more, char const* name = "out") const {
        std::vector<std::string> all{"prepare", "--tokenizer", kTokenizer, "--output", out(name)};
        all.insert(all.end(), more.begin(), more.end());
        return run_command(trireme(0, all));
    }
    TemporaryFolder folder_;
};

inline bool has(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

} // namespace trireme::test
