// Samples with words hidden from the model, as masked language modelling learns from them.
#pragma once
#include <cstdint>
#include <memory>

#include "data/loader.hpp"

namespace trireme::data {

struct Masking {
    double probability = 0.15; ///< share of the words of a sample that are hidden
    std::uint64_t seed = 0;
    std::int32_t mask_token = 0; ///< id of the tokenizer's mask token
};

/// Wraps data of masked language modelling: `read` gives kTokenLabels in place of kWords, the token
/// that was there where a word is hidden and kIgnoredLabel elsewhere. Of the words of a sample
/// `probability` of them are hidden, to the nearest whole number and at least one; of their tokens,
/// each drawn for itself, 80 % become the mask token, 10 % a token of the vocabulary and 10 % stay,
/// as transformers' whole-word masking has it. All of it is a function of (seed, sample, epoch),
/// and of no rank or step; evaluation sees the masks of epoch 0. A count of labels takes one more
/// read of the sample: no mask is kept. `read` and `trained` throw JobError for a word whose number
/// is beyond the tokens of its sample.
std::unique_ptr<Dataset> make_masked_dataset(std::shared_ptr<Dataset const> plain,
                                             Masking const& masking);

} // namespace trireme::data
