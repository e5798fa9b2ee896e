// Reads from a Hugging Face folder which tokens end a completion.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework::generation {

/// eos_token_id of generation_config.json, else of config.json: one, several or none. Throws
/// InputError.
std::vector<std::int32_t> stop_tokens(std::string const& folder);

} // namespace trireme::framework::generation
