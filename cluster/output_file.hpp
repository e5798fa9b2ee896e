// A file that a user named for the results of a command.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cluster {

/// Decides about a file that exists already.
enum class Existing { refused, replaced };

/// A regular file appears whole by `write` or `commit`, or not at all, and only a regular file is
/// replaced; a link is followed; a pipe or a device is written to.
class OutputFile {
  public:
    /// Tries the path and leaves nothing there, so that no work is done in vain. `field`: of the
    /// message, what the user gave the path by. Throws InputError for a folder, a socket, a file
    /// that exists and is not to be replaced, and where no file can be made. Local.
    OutputFile(std::string field, std::string path, Existing existing);
    /// Removes what was staged and not committed.
    ~OutputFile();
    OutputFile(OutputFile const&) = delete;
    OutputFile& operator=(OutputFile const&) = delete;

    /// All of the file. Throws JobError with path and reason.
    void write(std::string_view text);

    /// Makes an empty file of our own beside the path, for a library that wants a name. Throws
    /// InputError if the path is a pipe or a device, JobError if the file cannot be made.
    std::string const& stage();
    /// Syncs what was staged and gives it its name. Throws JobError.
    void commit();

  private:
    std::string field_, path_, target_, staging_; ///< target_: the path with links followed
    bool regular_ = true;
};

/// Keeps --force from what a command reads. Throws InputError if `path` is one of the files
/// `inputs`, or a file inside one of the folders there that does not end in `ending`, as the
/// command's own results do. Local.
void refuse_input(std::string const& field, std::string const& path,
                  std::vector<std::string> const& inputs, std::string const& ending);

} // namespace trireme::cluster
