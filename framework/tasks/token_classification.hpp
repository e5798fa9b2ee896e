// A class for each word of a text.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& token_classification();

} // namespace trireme::framework::tasks
