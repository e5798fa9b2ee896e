// Tokens that a masked language model would put in the place of hidden ones. No torch.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.hpp"
#include "framework/model/results.hpp"

namespace trireme::framework::evaluation {

struct Fill {
    std::int64_t sample = 0;
    std::int32_t place = 0, token = 0; ///< place: of the hidden token in the sample
    double probability = 0;            ///< by the softmax over the vocabulary
};

/// Appends the `count` likeliest tokens, best first and of equal ones the lower token, at each
/// place of data::kTokenLabels that counts. `results` have the logits of every token of samples of
/// `set`. Throws JobError as Dataset::read does.
void append_fills(model::Results const& results, data::Dataset const& set, std::int64_t count,
                  std::vector<Fill>& fills);

} // namespace trireme::framework::evaluation
