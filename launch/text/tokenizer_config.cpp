#include "launch/text/tokenizer_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "launch/text/lengths.hpp"
#include "launch/text/tokenizer_json.hpp"

namespace trireme::launch::text {

namespace {

/// The tokens that FILE says end a text; empty if it says nothing.
std::vector<std::int32_t> ends_in(std::string const& file, Tokenizer const& tokenizer) {
    auto const json = json_of(file);
    auto const found = json.find("eos_token_id");
    if (found == json.end() || found->is_null()) return {};
    std::vector<std::int32_t> ends;
    for (auto const& id : found->is_array() ? *found : Json::array({*found})) {
        if (!data::JsonKind<std::int64_t>::holds(id) || id.get<std::int64_t>() < 0 ||
            id.get<std::int64_t>() >= tokenizer.vocabulary())
            throw cluster::InputError(fmt::format("{}: eos_token_id: {}: legal: a token of the "
                                                  "tokenizer, 0 to {}; or name the token that "
                                                  "ends a text with --stop",
                                                  file, data::shown(id),
                                                  tokenizer.vocabulary() - 1));
        ends.push_back(id.get<std::int32_t>());
    }
    return ends;
}

/// The tokens that FILE names, whatever else stands there.
std::set<std::int64_t> stops_of(std::string const& file) {
    auto const json = json_of(file);
    std::set<std::int64_t> stops;
    auto const found = json.find("eos_token_id");
    if (found == json.end()) return stops;
    for (auto const& id : found->is_array() ? *found : Json::array({*found}))
        if (id.is_number_integer()) stops.insert(id.get<std::int64_t>());
    return stops;
}

} // namespace

bool ends_generation(std::string const& folder, std::int32_t token) {
    bool const said = cluster::is_there(folder + "/generation_config.json");
    return stops_of(folder + (said ? "/generation_config.json" : "/config.json")).contains(token);
}

std::vector<std::string> doubts_about_tokenizer(std::string const& folder) {
    auto const used = stops_of(folder + "/generation_config.json"),
               other = stops_of(folder + "/config.json");
    auto const in_common = [&](auto id) { return other.contains(id); };
    if (used.empty() || other.empty() || std::ranges::any_of(used, in_common)) return {};
    return {fmt::format("{}/config.json: eos_token_id: {}: what is generated ends with {} all the "
                        "same, as generation_config.json beside it says",
                        folder, fmt::join(other, ", "), fmt::join(used, ", "))};
}

std::int32_t end_of_text(std::string const& folder, Tokenizer const& tokenizer) {
    std::optional<std::int32_t> named;
    std::string from;
    for (auto const* name : {kConfig, kSpecialTokens})
        if (auto const token = token_of(json_of(folder + name), "eos_token", folder + name);
            !named && !token.empty()) {
            named = tokenizer.id(token);
            from = folder + name;
        }
    for (auto const* name : {"/generation_config.json", "/config.json"}) {
        auto const ends = ends_in(folder + name, tokenizer);
        if (ends.empty()) continue;
        if (!named) return ends.front();
        if (std::ranges::find(ends, *named) == ends.end())
            throw cluster::InputError(fmt::format(
                "{}{}: eos_token_id: {}: {} ends a text with {} (\"{}\"); legal: the "
                "same token in both, or --stop TOKEN",
                folder, name, fmt::join(ends, ", "), from, *named, tokenizer.token(*named)));
        break; // what generation_config.json says holds, whatever an older config.json has
    }
    return named.value_or(-1);
}

std::int64_t length_of_tokenizer(std::string const& folder) {
    auto const json = json_of(folder + kConfig);
    auto const found = json.find("model_max_length");
    // a float of 10^30 says that there is no limit
    if (found != json.end() && !found->is_null() && !found->is_number())
        refuse(folder + kConfig, "model_max_length", *found, "a number");
    return found != json.end() && data::JsonKind<std::int64_t>::holds(*found)
               ? found->get<std::int64_t>()
               : 0;
}

bool cuts_in_front(std::string const& folder) {
    auto const config = json_of(folder + kConfig);
    if (auto const side = config.find("truncation_side");
        side != config.end() && !side->is_null()) {
        if (*side != "left" && *side != "right")
            refuse(folder + kConfig, "truncation_side", *side, "\"left\" or \"right\"");
        return *side == "left";
    }
    auto const file = json_of(folder + "/tokenizer.json");
    auto const cut = file.find("truncation");
    return cut != file.end() && cut->is_object() && cut->contains("direction") &&
           cut->at("direction") == "Left";
}

void check_pair(std::string const& folder, std::string const& column, Tokenizer const& tokenizer) {
    if (size_in_config(folder, "type_vocab_size") != 1) return;
    auto const segments = tokenizer.encode({"a"}, {"a"}).front().segments;
    if (std::ranges::any_of(segments, [](auto segment) { return segment > 0; }))
        throw cluster::InputError(
            fmt::format("--pair: {}: legal: nothing, as {}/config.json has type_vocab_size 1: the "
                        "model cannot tell a second text from the first",
                        column, folder));
}

} // namespace trireme::launch::text
