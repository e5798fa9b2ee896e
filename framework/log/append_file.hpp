// A file of lines that several jobs of one run write, one after the other.
#pragma once
#include <string>
#include <string_view>

namespace trireme::framework::log {

class AppendFile {
  public:
    /// Ends a last line that a killed job left torn. Throws InputError if the file cannot be
    /// opened, or is a link.
    explicit AppendFile(std::string path);
    ~AppendFile();
    AppendFile(AppendFile const&) = delete;
    AppendFile& operator=(AppendFile const&) = delete;
    /// Throws JobError if the disk does not take it.
    void write_line(std::string_view line);

  private:
    std::string path_;
    int descriptor_;
};

} // namespace trireme::framework::log
