#include "cluster/listing.hpp"

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::cluster {

namespace fs = std::filesystem;

bool is_folder(std::string const& path) {
    std::error_code none;
    return is_there(path) && fs::is_directory(path, none);
}

std::vector<std::string> names_in(std::string const& folder) {
    std::vector<std::string> names;
    if (!is_there(folder)) return names;
    std::error_code failed;
    for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
        names.push_back(entry->path().filename().string());
    if (failed) throw InputError(folder + ": cannot be listed: " + failed.message());
    std::ranges::sort(names);
    return names;
}

} // namespace trireme::cluster
