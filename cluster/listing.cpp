#include "cluster/listing.hpp"

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::cluster {

namespace fs = std::filesystem;

bool is_folder(std::string const& path) {
    std::error_code none;
    return is_there(path) && fs::is_directory(path, none);
}

} // namespace trireme::cluster
