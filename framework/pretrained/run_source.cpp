#include "framework/pretrained/run_source.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/pretrained/config_fields.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/hf_config.hpp"

namespace trireme::framework::pretrained {

namespace {

std::string folder_of(std::string const& run) {
    return run + "/source";
}

} // namespace

void write_run_source(std::string const& run, ModelSection const& section, std::string const& data,
                      model::Config const& model) {
    nlohmann::ordered_json json{{"labels", model.labels},
                                {"dtypes", nlohmann::ordered_json::object()}};
    if (vocabulary_in_folder(model) != model.vocabulary) json["vocabulary"] = model.vocabulary;
    if (!section.from_scratch)
        for (auto const& [name, dtype] : stored_dtypes(model, section.path))
            json["dtypes"][name] = dtype;
    std::string const folder = folder_of(run);
    cluster::StagingFolder const staged(folder);
    cluster::write_file(staged.path() + "/config.json", model.source_json);
    cluster::write_file(staged.path() + "/source.json", json.dump(2) + "\n");
    data::copy_tokenizer_files(data, staged.path());
    data::copy_tokenizer_files(section.path, staged.path());
    std::error_code none;
    std::filesystem::remove_all(folder, none);
    staged.commit();
}

void check_same_model(std::string const& run, std::string const& folder,
                      model::Config const& model) {
    std::string const path = folder_of(run) + "/config.json";
    if (!cluster::is_there(path)) return;
    auto const differing =
        differing_fields(data::parse_json(path, read_hf_config(folder_of(run)).source_json),
                         data::parse_json(folder, model.source_json));
    if (!differing.empty())
        throw cluster::InputError(
            fmt::format("{}/config.json: {}: not as in {}, with which the run began; legal: "
                        "model.path with the same configuration, or another run folder",
                        folder, fmt::join(differing, ", "), path));
}

} // namespace trireme::framework::pretrained
