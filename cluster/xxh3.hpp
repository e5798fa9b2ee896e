// XXH3 of 128 bits: fast fingerprints of files and chunks (not a defence against an adversary who
// can write both).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace trireme::cluster {

/// 32 lower-case hexadecimal digits.
std::string xxh3_hex(void const* data, std::size_t bytes);
std::uint64_t xxh3_64(std::string_view text);

class Xxh3 {
  public:
    Xxh3();
    ~Xxh3();
    void update(void const* data, std::size_t bytes);
    std::string hex() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::cluster
