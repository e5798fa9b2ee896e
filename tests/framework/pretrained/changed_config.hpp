// Golden configurations with some fields changed, and what the reader says of them.
#pragma once

#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {

using nlohmann::json;

inline json golden_json(std::string const& name) {
    return json::parse(
        cluster::read_file(std::string(TRIREME_GOLDEN) + "/" + name + "/config.json"));
}

inline model::Config read(json const& config) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/config.json", config.dump());
    return pretrained::read_hf_config(folder.path());
}

/// The golden configuration with some fields changed; null stands, "(absent)" takes a field away.
inline model::Config changed(std::string const& name, json const& fields) {
    json config = golden_json(name);
    for (auto const& [field, value] : fields.items()) {
        config[field] = value;
        if (value == "(absent)") config.erase(field);
    }
    return read(config);
}

/// The message without the path of the file.
inline std::string refusal(std::string const& name, json const& fields) {
    try {
        changed(name, fields);
    } catch (cluster::InputError const& error) {
        std::string const what = error.what();
        return what.substr(what.find("config.json: ") + 13);
    }
    return "accepted";
}

} // namespace trireme::framework
