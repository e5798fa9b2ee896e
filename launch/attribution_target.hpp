// Reads --target of `trireme attribute`, which names a label of a classifier or a token of each
// text of a language model.
#pragma once
#include <cstdint>
#include <string>

#include "framework/jobs/attribute.hpp"

namespace trireme::launch {

/// --target as it was given, for a model.
struct AttributionTarget {
    static constexpr std::int64_t kLast = -1;

    std::int64_t label = -1;    ///< of a classifier; -1: the one that is predicted
    bool of_token = false;      ///< a language model's token is explained
    std::int64_t token = kLast; ///< its place in each text; kLast: the last that is not special
};

/// Throws InputError for a label or a place that the model cannot have.
AttributionTarget target_of(std::string const& given,
                            framework::jobs::AttributedModel const& model);
/// The place of the token that is explained in a text; 0: no token that is not special stands
/// before it. Throws InputError for a place that the text has not.
std::int64_t place_of(AttributionTarget const& target, framework::jobs::AttributedText const& text);

} // namespace trireme::launch
