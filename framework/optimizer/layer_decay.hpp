// Learning rates of layers: lower ones, which know language in general, move less.
#pragma once
#include <cstdint>
#include <string>

#include "framework/optimizer/section.hpp"

namespace trireme::framework::optimizer {

/// Factor of the learning rate of a unit of parameters (ParameterSpec::unit) in a model of `layers`
/// layers: 1 for the head, and from there layer_decay times as much for each of the last layer,
/// the one below it, ..., the first layer, and the embeddings, a table that the head shares with
/// them too. This is the discriminative fine-tuning of Howard and Ruder ("Universal language model
/// fine-tuning for text classification", ACL 2018, section 3.2, where the factor is 1 / 2.6).
double rate_scale(Section const& section, std::string const& unit, std::int64_t layers);

} // namespace trireme::framework::optimizer
