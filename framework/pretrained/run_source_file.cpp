#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "framework/pretrained/run_source.hpp"

namespace trireme::framework::pretrained {

std::optional<RunSource> read_run_source(std::string const& run) {
    RunSource source{.folder = run + "/source"};
    std::string const path = source.folder + "/source.json";
    if (!cluster::is_there(path)) return std::nullopt;
    auto const json = data::parse_json(path, cluster::read_file(path));
    try {
        source.labels = data::member<std::vector<std::string>>(json, "labels");
        if (json.contains("vocabulary")) source.vocabulary = data::count(json, "vocabulary", 1);
        if (!json.contains("dtypes") || !json.at("dtypes").is_object())
            throw cluster::InputError(
                "dtypes: missing; legal: a dtype by tensor, as `trireme train` wrote it");
        for (auto const& [name, dtype] : json.at("dtypes").items()) {
            if (!dtype.is_string())
                throw cluster::InputError("dtypes." + name + ": " + data::shown(dtype) +
                                          ": legal: a text");
            source.dtypes[name] = dtype.get<std::string>();
        }
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(path + ": " + error.what());
    }
    return source;
}

} // namespace trireme::framework::pretrained
