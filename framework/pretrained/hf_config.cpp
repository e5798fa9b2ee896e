#include "framework/pretrained/hf_config.hpp"

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/families.hpp"

namespace trireme::framework {

namespace {

Json parse(std::string const& path, std::string const& text) {
    try {
        Json json = Json::parse(text);
        if (!json.is_object()) throw cluster::InputError(path + ": not a JSON object");
        return json;
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(path + ": " + error.what());
    }
}

FamilyEntry const& find_family(Fields& fields) {
    auto const type = fields.get<std::string>("model_type");
    std::string legal;
    for (auto const& entry : families()) {
        if (type == entry.model_type) return entry;
        legal += (legal.empty() ? "" : ", ") + std::string(entry.model_type);
    }
    fields.refuse("model_type", legal);
}

/// What no family here computes.
void refuse_what_changes_everything(Fields& fields) {
    fields.require("is_encoder_decoder", false);
    fields.require("add_cross_attention", false);
    fields.require("cross_attention_hidden_size", nullptr);
    fields.require("tie_encoder_decoder", false);
    fields.require("pruned_heads", Json::object());
    fields.require("torchscript", false); // copies tied weights instead of sharing them
    fields.require("auto_map", nullptr);  // code of its own
    fields.require("quantization_config", nullptr);
    fields.require("per_layer_config", nullptr);
}

void set_labels(Json& json, ModelConfig const& c) {
    for (auto const* field : {"id2label", "label2id", "num_labels", "_num_labels"}) json.erase(field);
    for (std::size_t i = 0; i < c.labels.size(); ++i) {
        json["id2label"][std::to_string(i)] = c.labels[i];
        json["label2id"][c.labels[i]] = i;
    }
}

void set_dtype(Json& json, std::string const& dtype) {
    if (dtype.empty()) return;
    bool const named = json.contains("torch_dtype") || json.contains("dtype");
    for (auto const* field : {"torch_dtype", "dtype"})
        if (json.contains(field)) json[field] = dtype;
    if (!named) json["torch_dtype"] = dtype; // transformers 4 and 5 read this one
}

} // namespace

ModelConfig read_hf_config(std::string const& folder) {
    std::string const path = folder + "/config.json";
    ModelConfig c;
    c.source_json = cluster::read_file(path);
    Json const json = parse(path, c.source_json);
    Fields fields(path, json);
    FamilyEntry const& entry = find_family(fields);
    c.family = entry.family;
    refuse_what_changes_everything(fields);
    entry.read(fields, c);
    fields.check_all_known();
    return c;
}

std::string to_hf_config(ModelConfig const& c, std::string const& dtype) {
    Json json = Json::parse(c.source_json);
    Json const architectures = Json::array({architecture_of(c)});
    bool const same_head = json.contains("architectures") && json["architectures"] == architectures;
    json["architectures"] = architectures;
    if (c.head == HeadKind::classification) {
        if (labels_of(c) != c.labels) set_labels(json, c);
        Json const problem = json.value("problem_type", Json());
        if (!same_head || !problem.is_null()) json["problem_type"] = "single_label_classification";
    } else if (!same_head) {
        set_labels(json, c);
        json.erase("problem_type");
    }
    set_dtype(json, dtype);
    return json.dump(2) + "\n";
}

std::vector<std::string> labels_of(ModelConfig const& c) {
    Json const json = Json::parse(c.source_json);
    std::vector<std::string> labels;
    if (!json.contains("id2label") || !json["id2label"].is_object()) return labels;
    for (std::size_t i = 0; i < json["id2label"].size(); ++i)
        labels.push_back(json["id2label"].value(std::to_string(i), ""));
    return labels;
}

} // namespace trireme::framework
