// Order of samples and cutting into micro-batches: pure functions, no rank in any of them.
#include <algorithm>
#include <bit>
#include <numeric>
#include <queue>

#include "cluster/philox.hpp"
#include "data/loader.hpp"

namespace trireme::data {

namespace {

constexpr std::uint64_t kOrderPurpose = 0x6f72646572ULL; // "order"
constexpr int kRounds = 6;

/// A permutation of [0, 4^half): a Feistel network with Philox as its round function.
std::uint64_t feistel(std::uint64_t key, int half, std::uint64_t x) {
    std::uint64_t const mask = (std::uint64_t{1} << half) - 1;
    std::uint64_t left = x >> half, right = x & mask;
    for (int round = 0; round < kRounds; ++round) {
        auto const mixed = cluster::philox(key, right, static_cast<std::uint64_t>(round));
        std::uint64_t const next = left ^ (((std::uint64_t{mixed[1]} << 32) | mixed[0]) & mask);
        left = right;
        right = next;
    }
    return (left << half) | right;
}

/// Longest first, each to the least loaded of `bins`; loads and members by bin.
struct Packing {
    std::vector<std::vector<std::size_t>> members;
    std::int64_t fullest = 0; ///< tokens of the fullest bin with more than one sample
};
Packing pack(std::vector<std::size_t> const& longest_first,
             std::vector<std::int64_t> const& lengths, std::size_t bins) {
    using Load = std::pair<std::int64_t, std::size_t>;
    std::priority_queue<Load, std::vector<Load>, std::greater<>> least;
    for (std::size_t b = 0; b < bins; ++b) least.push({0, b});
    Packing packing{std::vector<std::vector<std::size_t>>(bins)};
    for (std::size_t i : longest_first) {
        auto [load, bin] = least.top();
        least.pop();
        packing.members[bin].push_back(i);
        load += lengths[i];
        if (packing.members[bin].size() > 1) packing.fullest = std::max(packing.fullest, load);
        least.push({load, bin});
    }
    return packing;
}

StepPlan plan_of(Dataset const& dataset, BatchShape const& shape,
                 std::vector<std::int64_t> const& ids) {
    StepPlan plan;
    std::vector<std::int64_t> lengths;
    for (auto const id : ids) {
        lengths.push_back(dataset.length(id));
        plan.tokens += lengths.back();
    }
    plan.micro_batches = cut_into_micro_batches(ids, lengths, shape);
    return plan;
}

} // namespace

std::int64_t ordered_sample(std::uint64_t seed, std::int64_t size, std::int64_t cursor) {
    auto const n = static_cast<std::uint64_t>(size), epoch = static_cast<std::uint64_t>(cursor) / n;
    std::uint64_t const key = cluster::philox_key(seed, kOrderPurpose, epoch);
    int const half = std::max(1, (static_cast<int>(std::bit_width(n - 1)) + 1) / 2);
    // Cycle walking: applied until it falls inside, a permutation of a larger domain is one of [0,
    // n). At most 4 tries on average, since the domain is less than 4 n wide.
    std::uint64_t x = static_cast<std::uint64_t>(cursor) % n;
    do x = feistel(key, half, x);
    while (x >= n);
    return static_cast<std::int64_t>(x);
}

std::vector<std::int32_t> Dataset::values_of(std::int64_t sample, TaskColumn const& column) const {
    return read({sample}, 1).columns.labels_of(column);
}

Visit Dataset::visit(std::uint64_t seed, std::int64_t cursor) const {
    return {ordered_sample(seed, size(), cursor), cursor / size()};
}

std::vector<std::vector<std::int64_t>>
cut_into_micro_batches(std::vector<std::int64_t> const& samples,
                       std::vector<std::int64_t> const& lengths, BatchShape const& shape) {
    if (samples.empty()) return {};
    std::vector<std::size_t> longest_first(samples.size());
    std::iota(longest_first.begin(), longest_first.end(), 0U);
    std::ranges::stable_sort(longest_first,
                             [&](auto a, auto b) { return lengths[a] > lengths[b]; });
    std::int64_t const total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    auto bins = std::min(samples.size(), static_cast<std::size_t>(std::max<std::int64_t>(
                                             1, (total + shape.tokens_per_micro_batch - 1) /
                                                    shape.tokens_per_micro_batch)));
    Packing packing = pack(longest_first, lengths, bins);
    while (packing.fullest > shape.tokens_per_micro_batch)
        packing = pack(longest_first, lengths, ++bins);
    for (auto& members : packing.members) std::ranges::sort(members);
    std::ranges::sort(packing.members);
    std::vector<std::vector<std::int64_t>> micro_batches;
    for (auto const& members : packing.members) {
        auto& micro_batch = micro_batches.emplace_back();
        for (std::size_t i : members) micro_batch.push_back(samples[i]);
    }
    return micro_batches;
}

StepPlan plan_step(Dataset const& dataset, BatchShape const& shape, std::uint64_t seed,
                   std::int64_t cursor) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < shape.samples; ++i) {
        auto const [sample, epoch] = dataset.visit(seed, cursor + i);
        ids.push_back(dataset.in_epoch(sample, epoch));
    }
    StepPlan plan = plan_of(dataset, shape, ids);
    plan.trained = count_trained(dataset, plan);
    return plan;
}

std::int64_t count_trained(Dataset const& dataset, StepPlan const& plan) {
    std::int64_t count = 0;
    for (auto const& micro_batch : plan.micro_batches)
        for (auto const id : micro_batch) count += dataset.trained(id);
    return count;
}

std::vector<StepPlan> plan_evaluation(Dataset const& dataset, BatchShape const& shape) {
    std::vector<StepPlan> plans;
    for (std::int64_t first = 0; first < dataset.size(); first += shape.samples) {
        std::vector<std::int64_t> ids(
            static_cast<std::size_t>(std::min(shape.samples, dataset.size() - first)));
        std::iota(ids.begin(), ids.end(), first);
        plans.push_back(plan_of(dataset, shape, ids));
    }
    return plans;
}

} // namespace trireme::data
