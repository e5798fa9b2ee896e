// Reads what a command wrote as JSONL.
#pragma once
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace trireme::test {

/// Objects of the lines that begin one; what else stands in `text` is skipped.
inline std::vector<nlohmann::json> lines_of(std::string const& text) {
    std::vector<nlohmann::json> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (line.starts_with('{')) lines.push_back(nlohmann::json::parse(line));
    return lines;
}

} // namespace trireme::test
