#include "data/subset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cluster/xxh3.hpp"

namespace trireme::data {

namespace {

constexpr std::uint64_t kPermutation = 0x737562736574ULL; // "subset"

std::vector<std::int64_t> kept_of(std::int64_t size, double fraction) {
    auto const count = static_cast<std::int64_t>(std::ceil(fraction * static_cast<double>(size)));
    std::vector<std::int64_t> kept;
    for (std::int64_t place = 0; place < std::min(count, size); ++place)
        kept.push_back(ordered_sample(kPermutation, size, place));
    std::ranges::sort(kept);
    return kept;
}

} // namespace

Subset::Subset(std::unique_ptr<Dataset> whole, double fraction)
    : whole_(std::move(whole)), kept_(kept_of(whole_->size(), fraction)) {
    std::string const text = fmt::format("{} {} samples", whole_->fingerprint(), kept_.size());
    fingerprint_ = cluster::xxh3_hex(text.data(), text.size());
    for (auto const sample : kept_) longest_ = std::max(longest_, whole_->length(sample));
}

std::int64_t Subset::inner(std::int64_t id) const {
    return kept_.at(static_cast<std::size_t>(id % size())) + id / size() * whole_->size();
}

std::int64_t Subset::in_epoch(std::int64_t sample, std::int64_t epoch) const {
    std::int64_t const id = whole_->in_epoch(inner(sample), epoch);
    return sample + id / whole_->size() * size();
}

void Subset::verify_samples(std::int64_t first, std::int64_t end) const {
    if (first < end) whole_->verify_samples(inner(first), inner(end - 1) + 1);
}

MicroBatch Subset::read(std::vector<std::int64_t> const& ids, std::int64_t token_multiple) const {
    std::vector<std::int64_t> mapped;
    mapped.reserve(ids.size());
    for (auto const id : ids) mapped.push_back(inner(id));
    return whole_->read(mapped, token_multiple);
}

} // namespace trireme::data
