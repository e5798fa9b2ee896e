// Refuses weights of a folder that are a pickle, which runs code when it is read.
#pragma once
#include <string>

namespace trireme::framework::pretrained {

/// Throws InputError with the command that makes safetensors of them. `name`: of the file.
[[noreturn]] void refuse_pickled(std::string const& folder, std::string const& name);

} // namespace trireme::framework::pretrained
