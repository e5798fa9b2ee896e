// The tokens that a mask hides.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& masked_language_modeling();

} // namespace trireme::framework::tasks
