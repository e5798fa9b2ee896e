// Reads trireme_fingerprint.json of an exported folder.
#pragma once
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "framework/verify/token_file.hpp"

namespace trireme::framework::verify {

inline constexpr char const* kFingerprintFile = "trireme_fingerprint.json";
/// By numerics.compute. Single precision differs by summation order; bfloat16 has 8 bits of
/// mantissa.
inline constexpr std::array<std::pair<char const*, double>, 3> kFingerprintBounds{
    {{"fp64", 1e-4}, {"fp32", 1e-4}, {"bf16", 0.1}}};

/// Logits of one sequence, in short. A language model has V of them for each token: here are those
/// of the last token at every stride-th entry, at most 1,024, and two sums over all.
struct SequenceLogits {
    std::vector<float> last;
    double mean = 0, rms = 0;
};
struct Fingerprint {
    double loss = 0;
    std::vector<SequenceLogits> sequences;
};

struct FingerprintFile {
    nlohmann::json json;
    TokenFile tokens;
    Fingerprint expected;
};

/// Findings of a comparison of a folder with its file.
struct Replay {
    std::vector<std::string> compared;    ///< a line for each thing, with the largest difference
    std::vector<std::string> differences; ///< what has changed; empty: all within their bounds
};

/// Throws InputError if the file is not there or not what write_fingerprint wrote. Local.
FingerprintFile read_fingerprint(std::string const& folder);

} // namespace trireme::framework::verify
