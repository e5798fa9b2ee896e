// Compares data that were prepared from files of different kinds.
#pragma once
#include <map>
#include <string>

#include "data/manifest.hpp"

namespace trireme::test {

/// Returns the hashes of the columns of the first training shard, by name, without the lines of the
/// rows: a table begins with its header, so that its rows lie one line lower.
inline std::map<std::string, std::string> columns_but_for_lines(std::string const& folder) {
    std::map<std::string, std::string> hashes;
    auto const manifest = data::read_manifest(folder);
    for (auto const& column : manifest.splits.at("train").shards.at(0).columns)
        if (column.name != "source_line/values") hashes[column.name] = column.xxh3;
    return hashes;
}

} // namespace trireme::test
