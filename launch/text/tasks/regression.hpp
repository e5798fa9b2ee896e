// Texts with one or several numbers each.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& regression_of_texts();

} // namespace trireme::launch::text
