// Files that the options of `prepare` name: a folder or a pattern stands for several.
#pragma once
#include <string>
#include <vector>

namespace trireme::launch::text {

struct Inputs {
    std::vector<std::string> files;
    std::vector<std::string> left_out; ///< sentences about files that are no rows
};

/// Replaces a folder by the files of rows in it and in folders below it, and a pattern with *, ? or
/// [] by what it matches, in the order of their names; hidden ones are skipped. `option`: for
/// messages. Throws InputError for a folder or pattern without a file of rows.
Inputs expanded(std::string const& option, std::vector<std::string> const& names);

} // namespace trireme::launch::text
