#include "framework/generation/stop_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::framework::generation {

/// Reads a token id or a list of them, the eos_token_id of the file at `path`.
static std::vector<std::int32_t> token_ids(std::string const& path, nlohmann::json const& value) {
    nlohmann::json const list = value.is_array() ? value : nlohmann::json::array({value});
    if (!std::ranges::all_of(list, [](nlohmann::json const& x) {
            return data::JsonKind<std::int64_t>::holds(x) && x >= 0 && x <= INT32_MAX;
        }))
        throw cluster::InputError(fmt::format(
            "{}: eos_token_id: {}: legal: a token id or a list of them", path, data::shown(value)));
    return list.get<std::vector<std::int32_t>>();
}

std::vector<std::int32_t> stop_tokens(std::string const& folder) {
    for (std::string const name : {"/generation_config.json", "/config.json"}) {
        std::string const path = folder + name;
        if (!cluster::is_there(path)) continue;
        nlohmann::json const json = data::parse_json(path, cluster::read_file(path));
        if (!json.is_object())
            throw cluster::InputError(
                path + ": not a JSON object; legal: what transformers' save_pretrained writes");
        auto const found = json.find("eos_token_id");
        if (found != json.end() && !found->is_null()) return token_ids(path, *found);
    }
    return {};
}

} // namespace trireme::framework::generation
