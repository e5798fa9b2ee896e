#include "framework/generation/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"

namespace trireme::framework::generation {

namespace {

constexpr std::uint64_t kGenerationPurpose = 0x67656e6572617465ULL; // "generate"

/// In [0, 1), of 53 bits.
double uniform(std::uint64_t seed, std::int64_t prompt, std::size_t position) {
    auto const key =
        cluster::philox_key(seed, kGenerationPurpose, static_cast<std::uint64_t>(prompt));
    auto const words = cluster::philox(key, position, 0);
    return static_cast<double>((std::uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1p-53;
}

double log_sum_exp(std::span<double const> logits, double highest) {
    double sum = 0;
    for (double const x : logits) sum += std::exp(x - highest);
    return highest + std::log(sum);
}

/// Falling by logit, of equal ones the lower token first.
std::vector<std::int32_t> ranked(std::span<double const> logits, std::size_t first) {
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    auto const before = [&](std::int32_t a, std::int32_t b) {
        double const x = logits[static_cast<std::size_t>(a)],
                     y = logits[static_cast<std::size_t>(b)];
        return x > y || (x == y && a < b);
    };
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(first),
                      order.end(), before);
    if (first == logits.size()) return order;
    double const least = logits[static_cast<std::size_t>(order[first - 1])];
    auto const equal =
        std::partition(order.begin() + static_cast<std::ptrdiff_t>(first), order.end(),
                       [&](auto t) { return logits[static_cast<std::size_t>(t)] == least; });
    order.erase(equal, order.end());
    std::sort(order.begin() + static_cast<std::ptrdiff_t>(first), order.end());
    return order;
}

void normalize(std::vector<double>& weights) {
    double const total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (double& w : weights) w /= total;
}

std::int32_t draw(Candidates const& from, double u) {
    double sum = 0;
    for (std::size_t i = 0; i < from.tokens.size(); ++i)
        if (sum += from.probabilities[i]; u < sum) return from.tokens[i];
    return from.tokens.back(); // the sum of all is 1 but for rounding
}

} // namespace

void check_sampling(Sampling const& s) {
    if (!(s.temperature >= 0 && std::isfinite(s.temperature)))
        throw cluster::InputError(
            fmt::format("--temperature: {}: legal: a number >= 0 (0: greedy)", s.temperature));
    if (s.top_k < 0)
        throw cluster::InputError(
            fmt::format("--top-k: {}: legal: a whole number >= 0 (0: off)", s.top_k));
    if (!(s.top_p > 0 && s.top_p <= 1))
        throw cluster::InputError(
            fmt::format("--top-p: {}: legal: a number > 0 and <= 1 (1: off)", s.top_p));
    if (!(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty)))
        throw cluster::InputError(fmt::format(
            "--repetition-penalty: {}: legal: a number > 0 (1: off)", s.repetition_penalty));
    if (s.temperature == 0 && (s.top_k > 0 || s.top_p < 1))
        throw cluster::InputError(
            "--temperature: 0: greedy decoding draws nothing; legal with --top-k or --top-p: a "
            "number > 0");
}

void penalize_repetition(std::span<double> logits, std::span<std::int32_t const> seen,
                         double penalty) {
    if (penalty == 1) return;
    for (std::int32_t const token : std::set<std::int32_t>(seen.begin(), seen.end())) {
        double& x = logits[static_cast<std::size_t>(token)];
        x = x < 0 ? x * penalty : x / penalty;
    }
}

/// Keeps the most probable of candidates in descending order whose sum reaches `top_p`.
static void keep_top(Candidates& of, double top_p) {
    std::size_t kept = 0;
    for (double sum = 0; kept < of.tokens.size() && sum < top_p; ++kept)
        sum += of.probabilities[kept];
    of.tokens.resize(kept);
    of.probabilities.resize(kept);
    normalize(of.probabilities);
}

Candidates candidates(std::span<double const> logits, Sampling const& sampling) {
    std::size_t const most = sampling.top_k > 0
                                 ? std::min(logits.size(), static_cast<std::size_t>(sampling.top_k))
                                 : logits.size();
    Candidates out;
    if (sampling.top_k > 0 || sampling.top_p < 1) {
        out.tokens = ranked(logits, most);
    } else { // nothing is cut off, so no order is needed
        out.tokens.resize(logits.size());
        std::iota(out.tokens.begin(), out.tokens.end(), 0);
    }
    double const highest = *std::ranges::max_element(logits);
    for (auto const t : out.tokens)
        out.probabilities.push_back(
            std::exp((logits[static_cast<std::size_t>(t)] - highest) / sampling.temperature));
    normalize(out.probabilities);
    if (sampling.top_p < 1) keep_top(out, sampling.top_p);
    return out;
}

Choice choose(std::span<float const> logits, std::span<std::int32_t const> seen,
              std::int64_t prompt, Sampling const& sampling) {
    std::vector<double> const plain(logits.begin(), logits.end());
    double const highest = *std::ranges::max_element(plain), all = log_sum_exp(plain, highest);
    if (!std::isfinite(all))
        throw cluster::JobError(fmt::format("prompt {}: logits are not finite at position {}: "
                                            "weights are not finite, or too large for float32",
                                            prompt, seen.size()));
    std::vector<double> changed = plain;
    penalize_repetition(changed, seen, sampling.repetition_penalty);
    Choice choice;
    choice.token =
        sampling.temperature == 0
            ? static_cast<std::int32_t>(std::ranges::max_element(changed) - changed.begin())
            : draw(candidates(changed, sampling), uniform(sampling.seed, prompt, seen.size()));
    choice.log_probability = plain[static_cast<std::size_t>(choice.token)] - all;
    return choice;
}

} // namespace trireme::framework::generation
