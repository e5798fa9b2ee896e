#include "cluster/xxh3.hpp"

#include <fmt/format.h>
#include <xxhash.h>

namespace trireme::cluster {

namespace {
std::string to_hex(XXH128_hash_t const& hash) {
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}
} // namespace

std::string xxh3_hex(void const* data, std::size_t bytes) {
    return to_hex(XXH3_128bits(data, bytes));
}
std::uint64_t xxh3_64(std::string_view text) {
    return XXH3_64bits(text.data(), text.size());
}

struct Xxh3::State {
    XXH3_state_t* state = XXH3_createState();
    State() { XXH3_128bits_reset(state); }
    ~State() { XXH3_freeState(state); }
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) {}
Xxh3::~Xxh3() = default;
void Xxh3::update(void const* data, std::size_t bytes) {
    XXH3_128bits_update(state_->state, data, bytes);
}
std::string Xxh3::hex() const {
    return to_hex(XXH3_128bits_digest(state_->state));
}

} // namespace trireme::cluster
