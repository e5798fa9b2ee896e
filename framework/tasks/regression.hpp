// One or several real numbers for each sample.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& regression();

} // namespace trireme::framework::tasks
