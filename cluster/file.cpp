#include "cluster/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/sha256.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::cluster {

namespace {

[[noreturn]] void fail(std::string const& path, char const* what) {
    throw JobError(path + ": " + what + ": " + std::strerror(errno));
}

std::string parent(std::string const& path) {
    auto const folder = std::filesystem::path(path).parent_path();
    return folder.empty() ? "." : folder.string();
}

} // namespace

void sync_path(std::string const& path) {
    int const fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail(path, "open");
    int const failed = fsync(fd);
    close(fd);
    if (failed) fail(path, "fsync");
}

void commit_file(std::string const& staging, std::string const& path) {
    sync_path(staging);
    if (std::rename(staging.c_str(), path.c_str()) != 0) fail(path, "rename");
    sync_path(parent(path));
}

void write_file(std::string const& path, std::string_view text) {
    std::string const staging = path + ".partial";
    {
        std::ofstream file(staging, std::ios::binary | std::ios::trunc);
        file.write(text.data(), static_cast<std::streamsize>(text.size()));
        file.close();
        if (!file) fail(staging, "write");
    }
    commit_file(staging, path);
}

std::string read_file(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file && !std::filesystem::is_directory(path)) text << file.rdbuf();
    if (!file || file.bad() || std::filesystem::is_directory(path))
        throw InputError(path + ": cannot be read (missing, or no permission)");
    return text.str();
}

namespace {

template <typename Hash>
std::string hash_of_file(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw InputError(path + ": cannot be read (missing, or no permission)");
    Hash hash;
    std::vector<char> buffer(std::size_t{1} << 20);
    while (file) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        hash.update(buffer.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (file.bad()) throw InputError(path + ": read error");
    return hash.hex();
}

} // namespace

std::string xxh3_of_file(std::string const& path) {
    return hash_of_file<Xxh3>(path);
}

std::string sha256_of_file(std::string const& path) {
    return hash_of_file<Sha256>(path);
}

} // namespace trireme::cluster
