// From a checkpoint of a run to a Hugging Face folder.
#pragma once
#include <string>

namespace trireme::framework {

/// `which`: best | latest | a name. Returns the name of the checkpoint taken. Local. Throws InputError.
std::string export_checkpoint(std::string const& run, std::string const& which, std::string const& output);

} // namespace trireme::framework
