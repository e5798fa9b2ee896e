// Names of classes, of the labels that the rows have.
#pragma once
#include <string>
#include <vector>

#include "launch/text/census.hpp"

namespace trireme::launch::text {

/// Class names in id order: as --labels gives them; else in the order of id2label in the
/// config.json beside the tokenizer, where it has the same names; else numbers by value, words in
/// alphabetical order. Throws InputError where a class has no row of training, or where two names
/// are spellings of one.
std::vector<std::string> class_names(Census const& census, PrepareOptions const& options);

/// Names of the labels where a sample has several of them, or one at each word: as --labels gives
/// them, in which case training may lack some; else ordered as class_names does. Throws InputError
/// where a row has another than --labels names, where only other splits have one, where training
/// has none, or where two are spellings of one.
std::vector<std::string> label_names(Census const& census, PrepareOptions const& options);

} // namespace trireme::launch::text
