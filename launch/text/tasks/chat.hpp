// Conversations, of which the turns of the assistant are trained. Samples are those of generation.
#pragma once
#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

TextTask const& chat_of_texts();

} // namespace trireme::launch::text
