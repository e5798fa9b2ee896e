#include "framework/jobs/gradient_direction.hpp"

#include <cmath>

#include "cluster/philox.hpp"

namespace trireme::framework::jobs {

namespace {
constexpr std::uint64_t kProjection = 0x70726f6a656374; ///< key of the draws
} // namespace

void normalize(std::vector<float>& values) {
    double square = 0;
    for (auto const x : values) square += static_cast<double>(x) * static_cast<double>(x);
    double const factor = square > 0 ? 1 / std::sqrt(square) : 0;
    for (auto& x : values) x = static_cast<float>(static_cast<double>(x) * factor);
}

float product(std::span<float const> a, std::span<float const> b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return static_cast<float>(sum);
}

Projection::Projection(std::int64_t elements) {
    drawn_.reserve(static_cast<std::size_t>(elements) + 4);
    for (std::uint64_t block = 0; std::ssize(drawn_) < elements; ++block)
        for (auto const word : cluster::philox(kProjection, block, 0)) drawn_.push_back(word);
}

void Projection::add(std::span<float const> values, std::int64_t first,
                     std::vector<float>& to) const {
    auto const* const word = drawn_.data() + first;
    for (std::size_t i = 0; i < values.size(); ++i) {
        auto& sum = to[word[i] % static_cast<std::uint32_t>(kProjected)];
        sum += word[i] >> 31U ? values[i] : -values[i];
    }
}

} // namespace trireme::framework::jobs
