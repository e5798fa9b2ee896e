// Texts with several labels each, or none.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& multi_label_of_texts();

} // namespace trireme::launch::text
