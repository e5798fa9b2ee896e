// Completions of prompts: language modelling of what follows a prompt.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& generation();

} // namespace trireme::framework::tasks
