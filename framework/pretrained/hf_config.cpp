#include "framework/pretrained/hf_config.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/path.hpp"
#include "data/json.hpp"
#include "framework/pretrained/families.hpp"

namespace trireme::framework::pretrained {

namespace {

Json parsed(model::Config const& c) {
    return data::parse_json<Json>("config.json", c.source_json);
}

FamilyEntry const& find_family(Fields& fields) {
    std::vector<std::string> legal;
    for (auto const& entry : families()) legal.emplace_back(entry.model_type);
    auto const known = fmt::format("{}", fmt::join(legal, ", "));
    if (!fields.has("model_type"))
        fields.refuse("model_type", known + "; the first folders of a family lack it: add it");
    auto const type = fields.get<std::string>("model_type");
    for (auto const& entry : families())
        if (type == entry.model_type) return entry;
    // another model is no misspelling
    fields.refuse("model_type", known);
}

/// auto_map names Python code of the folder's own. That of a tokenizer changes no model.
void refuse_own_code(Fields& fields) {
    Fields const map = fields.object("auto_map");
    if (!map.holds_only({"AutoTokenizer", "AutoProcessor"}))
        fields.refuse(
            "auto_map",
            "none, or one that names only an AutoTokenizer: no code of a model's own is run");
}

/// A name of the Hugging Face hub, such as org/model, and no path of this machine.
bool is_hub_name(std::string const& folder) {
    auto const allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) || std::strchr("-_./", c);
    };
    return !folder.empty() && std::ranges::all_of(folder, allowed) &&
           std::ranges::count(folder, '/') <= 1 && folder.find("..") == std::string::npos &&
           !std::strchr("./", folder.front()) && folder.back() != '/';
}

void refuse_hub_name(std::string const& folder) {
    if (!is_hub_name(folder) || cluster::is_there(folder)) return;
    throw cluster::InputError(fmt::format("{}: no such folder{}; legal: a folder with config.json, "
                                          "safetensors and tokenizer.json; a model of "
                                          "the Hugging Face hub is fetched first, where there is a "
                                          "network: hf download {} --local-dir FOLDER",
                                          folder, cluster::current_folder_of(folder), folder));
}

/// Its weights are changes to those of another folder: whatever lies beside them is the model
/// without them.
void refuse_adapter(std::string const& folder) {
    std::string const path = folder + "/adapter_config.json";
    if (!cluster::is_there(path)) return;
    throw cluster::InputError(
        fmt::format("{}: the folder holds an adapter (LoRA or its like), whose weights would not "
                    "be read; legal: the "
                    "whole model, merged where PEFT is: python -c 'from peft import "
                    "AutoPeftModelForCausalLM as M; "
                    "M.from_pretrained(\"{}\").merge_and_unload().save_pretrained(\"FOLDER\")'",
                    path, folder));
}

/// Refuses fields that ask for what no family here computes.
void refuse_what_changes_everything(Fields& fields) {
    fields.require("is_encoder_decoder", false);
    fields.require("add_cross_attention", false);
    fields.require("cross_attention_hidden_size", nullptr);
    fields.require("tie_encoder_decoder", false);
    fields.require("pruned_heads", Json::object());
    fields.require("torchscript", false); // copies tied weights instead of sharing them
    refuse_own_code(fields);
    for (auto const* packed : {"quantization_config", "quantization", "compression_config"})
        fields.require(packed, nullptr); // weights of fewer bits
    fields.require("per_layer_config", nullptr);
}

/// An id with its name in id2label; label2id must not say otherwise, since we read one of them and
/// others the other.
void check_label_names(std::string const& path, Json const& json) {
    for (auto const* field : {"id2label", "label2id"})
        if (json.contains(field) && !json[field].is_null() && !json[field].is_object())
            throw cluster::InputError(
                fmt::format("{}: {}: {}: legal: an object", path, field, data::shown(json[field])));
    if (json.value("id2label", Json()).is_null() || json.value("label2id", Json()).is_null())
        return;
    // a list of members would be looked through for each of them
    std::map<std::string, std::string> names;
    for (auto const& [id, name] : json["id2label"].items())
        names[id] = name.is_string() ? name.get<std::string>() : name.dump();
    for (auto const& [name, id] : json["label2id"].items()) {
        auto const found = names.find(id.is_string() ? id.get<std::string>() : id.dump());
        if (found != names.end() && found->second == name) continue;
        throw cluster::InputError(fmt::format(
            "{}: label2id: \"{}\" is {}, {}; legal: the same names and ids in both", path, name,
            data::shown(id),
            found == names.end() ? "which id2label does not have"
                                 : fmt::format("and by id2label that is \"{}\"", found->second)));
    }
}

void set_labels(Json& json, model::Config const& c) {
    for (auto const* field : {"id2label", "label2id", "num_labels", "_num_labels"})
        json.erase(field);
    if (c.labels.empty()) return;
    Json::object_t names, ids; // at their ends: each search for a name goes through all of them
    for (std::size_t i = 0; i < c.labels.size(); ++i) {
        names.emplace_back(std::to_string(i), c.labels[i]);
        ids.emplace_back(c.labels[i], i);
    }
    json["id2label"] = std::move(names);
    json["label2id"] = std::move(ids);
}

void set_dtype(Json& json, std::string const& dtype) {
    if (dtype.empty()) return;
    bool const named = json.contains("torch_dtype") || json.contains("dtype");
    for (auto const* field : {"torch_dtype", "dtype"})
        if (json.contains(field)) json[field] = dtype;
    if (!named) json["torch_dtype"] = dtype; // transformers 4 and 5 read this one
}

} // namespace

model::Config read_hf_config(std::string const& folder) {
    constexpr std::int64_t kMostBytes = 16 << 20;
    std::string const path = folder + "/config.json";
    refuse_hub_name(folder);
    refuse_adapter(folder);
    model::Config c;
    c.source_json = cluster::read_file(path, kMostBytes);
    auto const json = data::parse_json<Json>(path, c.source_json);
    if (!json.is_object()) throw cluster::InputError(path + ": legal: a JSON object of fields");
    Fields fields(path, json);
    FamilyEntry const& entry = find_family(fields);
    c.family = entry.family;
    refuse_what_changes_everything(fields);
    entry.read(fields, c);
    fields.check_all_known();
    check_label_names(path, json);
    return c;
}

std::string to_hf_config(model::Config const& c, std::string const& dtype) {
    Json json = parsed(c);
    Json const architectures = Json::array({architecture_of(c)});
    bool const same_head = json.contains("architectures") && json["architectures"] == architectures;
    json["architectures"] = architectures;
    auto const head = model::traits_of(c.head);
    if (head.learns == data::Values::places) {
        // as many outputs as transformers has by itself
        if (labels_of(c).size() != 2) set_labels(json, c);
        json.erase("problem_type");
    } else if (head.rows == data::Per::token && !head.of_vocabulary()) {
        if (labels_of(c) != c.labels) set_labels(json, c);
        json.erase("problem_type");
    } else if (!head.of_vocabulary()) {
        if (labels_of(c) != c.labels) set_labels(json, c);
        Json const problem = json.value("problem_type", Json());
        if (!same_head || !problem.is_null() || problem_of(c) != head.problem_type)
            json["problem_type"] = head.problem_type;
    } else if (!same_head) {
        set_labels(json, c);
        json.erase("problem_type");
    }
    // If it is absent, transformers takes only one text at a time for a classifier that reads the
    // last token before the padding.
    Json const pad = json.value("pad_token_id", Json());
    bool const none = !pad.is_number_integer() || pad.get<std::int64_t>() < 0;
    if (head.rows == data::Per::sample && c.pad_token >= 0 && none)
        json["pad_token_id"] = c.pad_token;
    if (vocabulary_in_folder(c) != c.vocabulary) json["vocab_size"] = c.vocabulary;
    set_dtype(json, dtype);
    return json.dump(2) + "\n";
}

std::int64_t vocabulary_in_folder(model::Config const& c) {
    if (c.source_json.empty()) return c.vocabulary;
    return parsed(c).value("vocab_size", c.vocabulary);
}

std::vector<std::string> labels_of(model::Config const& c) {
    Json const json = parsed(c);
    std::vector<std::string> labels;
    if (!json.contains("id2label") || !json["id2label"].is_object()) return labels;
    labels.resize(json["id2label"].size());
    for (auto const& [text, name] : json["id2label"].items()) {
        std::size_t id = labels.size();
        std::from_chars(text.data(), text.data() + text.size(), id);
        if (id < labels.size() && name.is_string() && std::to_string(id) == text)
            labels[id] = name.get<std::string>();
    }
    return labels;
}

std::string transformers_class_of(model::Config const& c) {
    Json const names = parsed(c).value("architectures", Json());
    return names.is_array() && !names.empty() && names[0].is_string() ? names[0].get<std::string>()
                                                                      : "";
}

bool is_classifier(model::Config const& c) {
    std::string const name = transformers_class_of(c);
    return name.ends_with("ForSequenceClassification") || (name.empty() && !labels_of(c).empty());
}

std::string problem_of(model::Config const& c) {
    Json const problem = parsed(c).value("problem_type", Json());
    if (problem.is_string()) return problem.get<std::string>();
    // as transformers takes it from the number of labels
    return labels_of(c).size() == 1 ? "regression" : "single_label_classification";
}

std::vector<std::string> class_names_of(model::Config const& c) {
    auto labels = labels_of(c);
    if (!labels.empty()) return labels;
    constexpr std::int64_t kMost = 1 << 20; // a wrong number must not fill memory with names
    Json const json = parsed(c);
    std::int64_t count = 2;
    for (auto const* field : {"_num_labels", "num_labels"})
        if (json.contains(field) && json[field].is_number_integer())
            count = json[field].get<std::int64_t>();
    for (std::int64_t i = 0; i < std::min(count, kMost); ++i)
        labels.push_back("LABEL_" + std::to_string(i));
    return labels;
}

} // namespace trireme::framework::pretrained
