// The stretch of a context that answers a question.
#pragma once
#include "framework/tasks/task.hpp"

namespace trireme::framework::tasks {

Task const& question_answering();

} // namespace trireme::framework::tasks
