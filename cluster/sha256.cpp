#include "cluster/sha256.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "cluster/error.hpp"

namespace trireme::cluster {

struct Sha256::State {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    if (EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1)
        throw JobError("OpenSSL has no SHA-256");
}
Sha256::~Sha256() = default;

void Sha256::update(void const* data, std::size_t bytes) {
    if (EVP_DigestUpdate(state_->context, data, bytes) != 1)
        throw JobError("SHA-256 update failed");
}

std::string Sha256::hex() {
    std::array<unsigned char, 32> digest{};
    if (EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) != 1)
        throw JobError("SHA-256 final failed");
    std::string text;
    for (unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
}

} // namespace trireme::cluster
