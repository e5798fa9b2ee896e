// `trireme inspect`: samples of a prepared data set as coloured tokens with their labels.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::launch::text {

struct InspectOptions {
    std::string data, split = "train";
    std::int64_t first = 0, samples = 3;
    bool color = false;
};

/// Throws InputError.
std::string inspect(InspectOptions const& options);

} // namespace trireme::launch::text
