#include "cluster/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/staging.hpp"

namespace trireme::cluster {

namespace fs = std::filesystem;

namespace {

/// /dev/stdout and its like name a stream that is open already, also where that is a regular file.
bool names_a_stream(std::string const& path) {
    auto const text = fs::absolute(path).lexically_normal().string();
    return text.starts_with("/dev/") || text.starts_with("/proc/");
}

/// Returns why a file that exists cannot be written to, or "".
std::string objection_to(std::string const& path, struct stat const& found, bool regular,
                         Existing existing) {
    if (S_ISDIR(found.st_mode)) return "is a folder; legal: the name of a file";
    if (S_ISSOCK(found.st_mode) || S_ISBLK(found.st_mode))
        return "is a socket or a disk; legal: the name of a file";
    if (regular && existing == Existing::refused)
        return "exists already; legal: a new file, or --force to replace it";
    if (!regular && access(path.c_str(), W_OK) != 0)
        return reason_of(errno) + "; legal: the name of a file that may be written to";
    return "";
}

/// Tells whether a file can be made beside the path; errno says why not.
bool can_be_made(std::string const& path) {
    try {
        unlink(make_staging_file(path).c_str());
        return true;
    } catch (JobError const&) {
        return false;
    }
}

} // namespace

OutputFile::OutputFile(std::string field, std::string path, Existing existing)
    : field_(std::move(field)), path_(std::move(path)), target_(followed(path_)) {
    auto const refuse = [&](std::string const& why) {
        throw InputError(field_ + ": " + path_ + ": " + why);
    };
    constexpr char const* kNoRoom = "; legal: a file in a folder that exists and may be written to";
    if (path_.empty() || path_.ends_with('/')) refuse("legal: the name of a file");
    struct stat found {};
    if (stat(target_.c_str(), &found) == 0) {
        regular_ = S_ISREG(found.st_mode) && !names_a_stream(path_);
        if (auto const why = objection_to(target_, found, regular_, existing); !why.empty())
            refuse(why);
    } else if (errno != ENOENT) {
        refuse(reason_of(errno) + kNoRoom);
    }
    if (regular_ && !can_be_made(target_)) refuse(reason_of(errno) + kNoRoom);
}

OutputFile::~OutputFile() {
    if (!staging_.empty()) unlink(staging_.c_str());
}

void OutputFile::write(std::string_view text) {
    if (regular_) {
        write_all(stage(), O_WRONLY, text, path_);
        commit();
    } else {
        write_all(target_, O_WRONLY | O_APPEND, text, path_);
    }
}

std::string const& OutputFile::stage() {
    if (!regular_)
        throw InputError(field_ + ": " + path_ +
                         ": is a pipe or a device; legal: the name of a file");
    if (staging_.empty()) staging_ = make_staging_file(target_);
    return staging_;
}

void OutputFile::commit() {
    commit_file(staging_, target_);
    staging_.clear();
}

void refuse_input(std::string const& field, std::string const& path,
                  std::vector<std::string> const& inputs, std::string const& ending) {
    std::error_code none;
    auto const file = fs::canonical(path, none);
    // there is nothing to lose
    if (none || !fs::is_regular_file(file, none) || names_a_stream(path)) return;
    for (auto const& name : inputs) {
        auto const input = fs::canonical(name, none);
        if (name.empty() || none) continue;
        bool const inside =
            std::mismatch(input.begin(), input.end(), file.begin(), file.end()).first ==
            input.end();
        if (file == input || (inside && file.extension() != ending))
            throw InputError(field + ": " + path + ": is read from " + name +
                             "; legal: another file" +
                             (file == input ? "" : ", or one that ends in " + ending));
    }
}

} // namespace trireme::cluster
