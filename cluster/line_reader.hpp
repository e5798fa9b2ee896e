// The lines of a file that somebody else may have written.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::cluster {

class LineReader {
  public:
    static constexpr std::size_t kLongest = std::size_t{1} << 28; ///< bytes of a line

    /// Throws InputError unless `path` is a regular file of at most `most` bytes that can be read,
    /// and no pointer of Git LFS.
    explicit LineReader(std::string path, std::int64_t most = INT64_MAX);
    ~LineReader();
    LineReader(LineReader const&) = delete;
    LineReader& operator=(LineReader const&) = delete;

    /// The next line without its end; false after the last. Throws InputError for a read error or a
    /// line longer than kLongest, before it fills the memory.
    bool next(std::string& line);
    /// Number of the line that `next` gave last, from 1.
    std::int64_t number() const { return number_; }

  private:
    bool fill();

    std::string path_;
    int file_;
    std::int64_t number_ = 0;
    std::vector<char> buffer_;
    std::size_t at_ = 0, end_ = 0; ///< part of the buffer that is not read yet
};

} // namespace trireme::cluster
