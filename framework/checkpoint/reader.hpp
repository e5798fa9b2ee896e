// Reading a checkpoint: any flat range of any tensor, each byte of it verified.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/checkpoint/manifest.hpp"

namespace trireme::framework::checkpoint {

class Reader {
  public:
    /// Reads the manifest and compares the files' sizes. Throws InputError.
    explicit Reader(std::string directory);
    ~Reader();
    Reader(Reader const&) = delete;

    Manifest const& manifest() const { return manifest_; }
    /// Elements [first, first + count) of the row-major tensor into `out`, of the tensor's own
    /// dtype. Every 1 MiB chunk touched is checked against its hash. Throws InputError naming file
    /// and tensor.
    void read(Tensor const& tensor, std::int64_t first, std::int64_t count, void* out) const;
    /// Reads a rectangle of the tensor, and only the bytes in it; `out` is row-major in the
    /// rectangle.
    void read(Tensor const& tensor, storage::Rectangle const& wanted, void* out) const;
    /// Hashes every file whole. Throws InputError naming the first file that is damaged or not
    /// listed, and the tensor if one lies at the bad place.
    void verify() const;

  private:
    struct Open {
        File record;
        int descriptor = -1;
        std::int64_t chunk_index = -1; ///< the chunk that was verified last, and its bytes
        std::vector<char> chunk = {};
    };
    /// Opens nothing. After it the destructor runs, also where the other constructor throws.
    struct Unopened {};
    Reader(Unopened, std::string directory);
    std::vector<char> const& verified_chunk(Open& file, std::string const& tensor,
                                            std::int64_t index) const;
    void read_bytes(Open& file, std::string const& tensor, std::int64_t offset, std::int64_t bytes,
                    char* out) const;
    std::string tensor_at(std::string const& file, std::int64_t chunk) const;
    void verify_file(std::string const& name, Open const& file) const;

    std::string directory_;
    Manifest manifest_;
    mutable std::map<std::string, Open> files_;
};

} // namespace trireme::framework::checkpoint
