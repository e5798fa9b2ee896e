// Section `evaluation` of a run's configuration.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::framework::evaluation {

/// Says how outputs of a document's windows become its own: their mean, or the largest of each.
enum class Pooling : std::uint8_t { mean, max };

struct Section {
    std::int64_t every = 0;          ///< steps; 0: at the end of each epoch
    std::string metric = "loss";     ///< decides best checkpoint and early stop
    Pooling pooling = Pooling::mean; ///< outputs of documents that were divided into windows
    /// evaluations without improvement before stopping; 0: never stop early
    int patience = 0;
    /// prompts of the validation split that are completed greedily at each evaluation; 0: none
    std::int64_t generate = 0;
    std::int64_t max_new_tokens = 128; ///< of such a completion
};

/// Names in configurations and messages, in the order of the values.
constexpr auto names_of(Pooling) {
    return std::array{"mean", "max"};
}
constexpr char const* name_of(Pooling value) {
    return names_of(value)[static_cast<std::size_t>(value)];
}

} // namespace trireme::framework::evaluation
