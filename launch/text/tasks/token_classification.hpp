// Words with a class each.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& token_classification_of_texts();

} // namespace trireme::launch::text
