// The next token of every token.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& language_modeling();

} // namespace trireme::framework::tasks
