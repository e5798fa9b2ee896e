// Questions whose answers are spans of a context.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& question_answering_of_texts();

} // namespace trireme::launch::text
