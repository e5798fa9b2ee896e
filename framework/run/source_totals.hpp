// Counts what each source of a mixture really gave, as log and metrics.jsonl say it.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework::run {

struct SourceTotal {
    std::string name;
    std::int64_t samples = 0, tokens = 0; ///< trained on since the run began
    std::int64_t size = 0;                ///< samples that the source has
};

/// "NAME 75.0 % of the samples, 61.2 % of the tokens, 1.20 epochs; ..."
std::string source_text(std::vector<SourceTotal> const& sources);
/// An object for each source: name, samples, tokens, their shares, epochs.
nlohmann::ordered_json source_list(std::vector<SourceTotal> const& sources);

} // namespace trireme::framework::run
