// Texts whose words are masked in training.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& masked_language_modeling_of_texts();

} // namespace trireme::launch::text
