// How the next token is chosen from logits: the definitions and the order of transformers' logits
// processors (repetition penalty, temperature, top-k, top-p), and random numbers that belong to a
// token of a prompt.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::framework::generation {

struct Sampling {
    double temperature = 0;        ///< 0: greedy, the highest logit, of equal ones the lowest token
    std::int64_t top_k = 0;        ///< 0: off
    double top_p = 1;              ///< 1: off
    double repetition_penalty = 1; ///< 1: off (Keskar et al., "CTRL", 2019, section 4.1)
    std::uint64_t seed = 1;
};
/// Throws InputError naming the option and what is legal.
void check_sampling(Sampling const& sampling);

/// The logit of each token that occurs in `seen` (prompt included) is divided by `penalty` if
/// positive, multiplied if negative, once however often the token occurs.
void penalize_repetition(std::span<double> logits, std::span<std::int32_t const> seen,
                         double penalty);

/// Tokens that may be drawn and their probabilities, which add up to 1.
struct Candidates {
    std::vector<std::int32_t> tokens;
    std::vector<double> probabilities;
};
/// softmax(logits / temperature) of what is left by top-k (the k highest and all that equal the
/// last of them) and then by top-p (Holtzman et al., "The curious case of neural text
/// degeneration", ICLR 2020: the fewest tokens in falling order whose probabilities add up to p or
/// more; at least one). temperature > 0.
Candidates candidates(std::span<double const> logits, Sampling const& sampling);

struct Choice {
    std::int32_t token = -1;
    double log_probability = 0; ///< the model's own, before penalty, temperature and truncation
};
/// Chooses what follows `seen`. The random number is Philox keyed by (seed, prompt) with the
/// position as counter, so neither batch nor rank is in it. Throws JobError for logits that are not
/// finite.
Choice choose(std::span<float const> logits, std::span<std::int32_t const> seen,
              std::int64_t prompt, Sampling const& sampling);

} // namespace trireme::framework::generation
