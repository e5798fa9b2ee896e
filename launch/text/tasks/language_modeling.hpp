// Texts of which every next token is learnt.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& language_modeling_of_texts();

} // namespace trireme::launch::text
