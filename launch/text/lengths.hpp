// How many tokens a text may have, as the folder of a tokenizer says it.
#pragma once
#include <cstdint>
#include <string>

namespace trireme::launch::text {

/// Returns a whole number that FOLDER/config.json says of the model beside the tokenizer; 0 where
/// it says nothing, or where there is none.
std::int64_t size_in_config(std::string const& folder, char const* field);
/// Returns how many positions a text may have in the model beside the tokenizer; 0 if there is
/// none.
std::int64_t positions_in_config(std::string const& folder);
/// Returns the length at which texts are cut unless the user says another: 512, or less where
/// model or tokenizer have less.
std::int64_t usual_length(std::string const& folder);

} // namespace trireme::launch::text
