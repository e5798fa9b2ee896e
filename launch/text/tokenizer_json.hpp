// JSON files beside tokenizer.json, member by member. For tokenizer_config.cpp and
// tokenizer_comparison.cpp.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace trireme::launch::text {

using Json = nlohmann::json;
inline constexpr char const* kConfig = "/tokenizer_config.json";
inline constexpr char const* kSpecialTokens = "/special_tokens_map.json";

/// An empty object for a file that is not there.
Json json_of(std::string const& file);

/// Text of the token that member `name` holds; empty if it is absent.
std::string token_of(Json const& json, std::string const& name, std::string const& file);

/// Throws InputError "FILE: NAME: VALUE: legal: ...".
[[noreturn]] void refuse(std::string const& file, std::string const& name, Json const& value,
                         char const* legal);

} // namespace trireme::launch::text
