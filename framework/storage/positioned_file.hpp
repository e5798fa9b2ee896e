// A file read and written at positions, so that only the bytes of a slice move.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::framework::storage {

class PositionedFile {
  public:
    static PositionedFile to_read(std::string const& path);  ///< throws InputError
    static PositionedFile to_write(std::string const& path); ///< new and empty; throws JobError
    PositionedFile(PositionedFile&& other) noexcept;
    PositionedFile& operator=(PositionedFile&&) = delete;
    ~PositionedFile();

    /// throws InputError if they are not there
    void read(void* to, std::int64_t at, std::int64_t bytes) const;
    void write(void const* from, std::int64_t at, std::int64_t bytes) const; ///< throws JobError

  private:
    PositionedFile(std::string path, int descriptor)
        : path_(std::move(path)), descriptor_(descriptor) {}

    std::string path_;
    int descriptor_;
};

} // namespace trireme::framework::storage
