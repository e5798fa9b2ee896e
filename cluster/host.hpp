// Who and where this process is, for messages.
#pragma once
#include <string>

namespace trireme::cluster {

std::string host_name();

} // namespace trireme::cluster
