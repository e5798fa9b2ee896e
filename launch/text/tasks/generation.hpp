// Prompts that are read, and completions that are learnt.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& generation_of_texts();

} // namespace trireme::launch::text
