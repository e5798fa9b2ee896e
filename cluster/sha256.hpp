// SHA-256 over pieces, by OpenSSL.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace trireme::cluster {

class Sha256 {
  public:
    Sha256();
    ~Sha256();
    void update(void const* data, std::size_t bytes);
    std::string hex(); ///< ends the hash: 64 lower-case digits

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::cluster
