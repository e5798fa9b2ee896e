#include "launch/text/inputs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "launch/text/file_kind.hpp"

namespace trireme::launch::text {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 3; ///< names in a message

bool is_hidden(fs::path const& path) {
    return path.filename().string().starts_with('.');
}

/// Regular files in a folder and below it. Links to folders are not followed.
std::vector<std::string> files_below(std::string const& folder) {
    std::vector<std::string> files;
    std::error_code error;
    fs::recursive_directory_iterator it(folder, error), end;
    for (; !error && it != end; it.increment(error)) {
        std::error_code none;
        if (is_hidden(it->path())) {
            if (it->is_directory(none)) it.disable_recursion_pending();
        } else if (it->is_regular_file(none)) {
            files.push_back(it->path().string());
        }
    }
    if (error)
        throw cluster::InputError(fmt::format("{}: cannot be read: {}", folder, error.message()));
    std::ranges::sort(files);
    return files;
}

/// Lists the files that a pattern matches, in the order of their names. As in a shell, hidden ones
/// match only where the pattern begins with a point.
std::vector<std::string> matches(std::string const& pattern) {
    glob_t found{};
    std::vector<std::string> paths;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    globfree(&found);
    std::ranges::sort(paths);
    return paths;
}

std::string file_list(std::vector<std::string> const& files) {
    std::vector<std::string> shown;
    for (auto const& file : files)
        if (shown.size() < kShown)
            shown.push_back(cluster::one_line(fs::path(file).filename().string()));
    return fmt::format("{}{}", fmt::join(shown, ", "),
                       files.size() > kShown ? fmt::format(" and {} more", files.size() - kShown)
                                             : "");
}

} // namespace

Inputs expanded(std::string const& option, std::vector<std::string> const& names) {
    Inputs inputs;
    for (auto const& name : names) {
        std::error_code none;
        bool const folder = fs::is_directory(name, none);
        bool const pattern =
            !folder && !fs::exists(name, none) && name.find_first_of("*?[") != std::string::npos;
        if (!folder && !pattern) {
            inputs.files.push_back(name);
            continue;
        }
        std::vector<std::string> found, files, others;
        for (auto const& match : pattern ? matches(name) : std::vector{name}) {
            if (!fs::is_directory(match, none))
                found.push_back(match);
            else
                std::ranges::copy(files_below(match), std::back_inserter(found));
        }
        for (auto const& file : found) (kind_of_name(file) ? files : others).push_back(file);
        if (files.empty())
            throw cluster::InputError(fmt::format(
                "{}: {}: {}; legal: {}", option, name,
                found.empty() ? (pattern ? "matches nothing" : "a folder without a file")
                              : fmt::format("no file of rows, but {}", file_list(others)),
                kLegalNames));
        std::ranges::copy(files, std::back_inserter(inputs.files));
        if (!others.empty())
            inputs.left_out.push_back(
                fmt::format("{}: {} left out, which {} no file of rows: {}", name, others.size(),
                            others.size() == 1 ? "is" : "are", file_list(others)));
    }
    return inputs;
}

} // namespace trireme::launch::text
