// Any number of labels for each sample.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& multi_label();

} // namespace trireme::framework::tasks
