// Compares the tokenizers of two Hugging Face folders.
#pragma once
#include <string>

namespace trireme::data {

/// Says in what they differ beside padding and truncation, which change no token; "" if in nothing,
/// or if a folder has no tokenizer.json. Throws InputError for a file that is not JSON.
std::string tokenizer_difference(std::string const& one, std::string const& other);

} // namespace trireme::data
