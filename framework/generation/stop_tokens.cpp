#include "framework/generation/stop_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::framework::generation {

std::vector<std::int32_t> stop_tokens(std::string const& folder) {
    for (std::string const name : {"/generation_config.json", "/config.json"}) {
        if (!cluster::is_there(folder + name)) continue;
        nlohmann::json const json =
            data::parse_json(folder + name, cluster::read_file(folder + name));
        if (!json.is_object())
            throw cluster::InputError(
                folder + name +
                ": not a JSON object; legal: what transformers' save_pretrained writes");
        auto const found = json.find("eos_token_id");
        if (found == json.end() || found->is_null()) continue;
        nlohmann::json const list = found->is_array() ? *found : nlohmann::json::array({*found});
        if (!std::ranges::all_of(list, [](nlohmann::json const& x) {
                return data::JsonKind<std::int64_t>::holds(x) && x >= 0 && x <= INT32_MAX;
            }))
            throw cluster::InputError(
                fmt::format("{}{}: eos_token_id: {}: legal: a token id or a list of them", folder,
                            name, data::shown(*found)));
        return list.get<std::vector<std::int32_t>>();
    }
    return {};
}

} // namespace trireme::framework::generation
