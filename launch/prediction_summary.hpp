// The lines that `trireme predict` writes, and the one that it says at the end.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace trireme::launch {

/// Counts what the line at the end says.
struct PredictionSummary {
    std::int64_t texts = 0, blank = 0, cut = 0, masks = 0, unmasked = 0;
    std::map<std::string, std::int64_t> predicted; ///< texts of each class, or entities of a type

    void add(nlohmann::ordered_json const& line);
    /// `length`: tokens at which a text was cut.
    std::string line(std::int64_t length) const;
};

/// The lines of a block as the text service has it (launch/text/unlabelled.hpp), of which `found`
/// has those of the texts that have tokens.
std::string lines_of(nlohmann::json const& block, std::vector<nlohmann::ordered_json> const& found,
                     PredictionSummary& sum);

} // namespace trireme::launch
