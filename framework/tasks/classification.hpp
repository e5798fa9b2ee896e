// A class for each sample.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& classification();

} // namespace trireme::framework::tasks
