#include "launch/text/tokenizer_json.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/tokenizer_files.hpp"

namespace trireme::launch::text {

Json json_of(std::string const& file) {
    if (!cluster::is_there(file)) return Json::object();
    auto json = data::parse_json(file, cluster::read_file(file));
    if (!json.is_object())
        throw cluster::InputError(
            file + ": not a JSON object; legal: what transformers' save_pretrained writes");
    return json;
}

std::string token_of(Json const& json, std::string const& name, std::string const& file) {
    auto const found = json.find(name);
    return found == json.end() ? "" : data::token_text(*found, file + ": " + name);
}

void refuse(std::string const& file, std::string const& name, Json const& value,
            char const* legal) {
    throw cluster::InputError(
        fmt::format("{}: {}: {}: legal: {}", file, name, data::shown(value), legal));
}

} // namespace trireme::launch::text
