#include "framework/pretrained/weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors.hpp"

namespace trireme::framework {

namespace {

using Entries = std::map<std::string, TensorEntry>;

bool is_task_head(ModelConfig const& model, std::string const& name) {
    HeadNames const head = head_names(model);
    return name == head.classifier.weight || name == head.classifier.bias || name == head.pooler.weight ||
           name == head.pooler.bias;
}

/// Names under which a tensor may be stored: a bare encoder leaves the prefix away, old BERTs call norm parameters
/// gamma and beta.
std::vector<std::string> spellings(ModelConfig const& model, std::string const& name) {
    std::vector<std::string> names{name};
    std::string const prefix = model.family == Family::bert ? "bert." : "model.";
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
    for (std::size_t i = 0, n = names.size(); i < n; ++i) {
        if (names[i].ends_with("LayerNorm.weight")) names.push_back(names[i].substr(0, names[i].size() - 6) + "gamma");
        if (names[i].ends_with("LayerNorm.bias")) names.push_back(names[i].substr(0, names[i].size() - 4) + "beta");
    }
    return names;
}

Entries::const_iterator find(Entries const& entries, ModelConfig const& model, std::string const& name) {
    for (auto const& spelling : spellings(model, name))
        if (auto const found = entries.find(spelling); found != entries.end()) return found;
    return entries.end();
}

/// Tensors that a model may carry and this run has no use for: buffers, and heads of other tasks.
bool is_expendable(ModelConfig const& model, std::string const& name) {
    if (name.ends_with("position_ids") || name.ends_with("rotary_emb.inv_freq")) return true;
    if (model.family == Family::bert) return name.starts_with("cls.") || name.starts_with("classifier.");
    return name == "lm_head.weight" || name == "score.weight";
}

void refuse_leftovers(std::string const& folder, Entries const& entries, std::set<std::string> const& used,
                      ModelConfig const& model) {
    for (auto const& [name, entry] : entries)
        if (!used.contains(name) && !is_expendable(model, name))
            throw cluster::InputError(fmt::format("{}: tensor {} has no place in this {} model", folder, name,
                                                  model.family == Family::bert ? "bert" : "llama"));
}

void copy_in(parallel::Parameter& parameter, std::string const& name, TensorEntry const& entry) {
    if (entry.shape != parameter.spec().shape)
        throw cluster::InputError(fmt::format("{}: {}: shape [{}]: config.json asks for [{}]", entry.file, name,
                                              fmt::join(entry.shape, ", "), fmt::join(parameter.spec().shape, ", ")));
    parameter.master().copy_(read_tensor(name, entry));
}

constexpr std::array kTokenizerFiles{
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json",
    "merges.txt",     "added_tokens.json",     "chat_template.jinja"};

} // namespace

ModelConfig read_model_config(Config const& config, std::vector<std::string> const& labels) {
    ModelConfig model = read_hf_config(config.model.path);
    model.head = config.task == "classification" ? HeadKind::classification : HeadKind::language_model;
    if (model.head == HeadKind::classification && labels.size() < 2)
        throw cluster::InputError(
            fmt::format("{}: {} classes; classification needs at least 2: prepare the data with --task classification",
                        config.data.path, labels.size()));
    if (model.head == HeadKind::language_model && model.family == Family::bert)
        throw cluster::InputError(
            fmt::format("task: language-modeling: {} is a BERT encoder; legal: classification", config.model.path));
    model.labels = labels;
    auto const choose = [](double asked, double& ours) {
        if (asked >= 0) ours = asked;
    };
    choose(config.model.hidden_dropout, model.hidden_dropout);
    choose(config.model.attention_dropout, model.attention_dropout);
    choose(config.model.classifier_dropout, model.classifier_dropout);
    return model;
}

std::int64_t planned_steps(Config const& config, std::int64_t samples) {
    if (config.train.steps > 0) return config.train.steps;
    auto const steps = static_cast<std::int64_t>(
        std::floor(config.train.epochs * static_cast<double>(samples) / static_cast<double>(config.batch.global)));
    if (steps < 1)
        throw cluster::InputError(fmt::format("train.epochs: {}: {} samples make no whole step of batch.global {}",
                                              config.train.epochs, samples, config.batch.global));
    return steps;
}

std::vector<std::string> load_weights(Config const& config, ModelConfig const& model, parallel::ParameterStore& store) {
    std::vector<std::string> notes, fresh;
    if (config.model.from_scratch) {
        for (auto const& p : store.parameters()) store.initialize(*p, config.seed);
        return {"all weights start from seed " + std::to_string(config.seed)};
    }
    Entries const entries = find_tensors(config.model.path);
    // A classifier of other labels is the wrong one even when its shape fits.
    bool const same_labels = labels_of(model) == model.labels;
    std::set<std::string> used;
    for (auto const& p : store.parameters()) {
        std::string const& name = p->spec().name;
        bool const classifier =
            name == head_names(model).classifier.weight || name == head_names(model).classifier.bias;
        auto const found = find(entries, model, name);
        if (found != entries.end() && (!classifier || same_labels)) {
            copy_in(*p, found->first, found->second);
            used.insert(found->first);
        } else if (is_task_head(model, name)) {
            store.initialize(*p, config.seed);
            fresh.push_back(name);
        } else {
            throw cluster::InputError(fmt::format("{}: tensor {} is missing", config.model.path, name));
        }
    }
    refuse_leftovers(config.model.path, entries, used, model);
    if (!fresh.empty()) notes.push_back(fmt::format("new, from seed {}: {}", config.seed, fmt::join(fresh, ", ")));
    return notes;
}

void export_model(ModelConfig const& model, parallel::ParameterStore const& store, std::string const& tokenizer_from,
                  std::string const& folder) {
    namespace fs = std::filesystem;
    if (fs::exists(folder)) throw cluster::InputError(folder + ": exists already; an export never overwrites");
    std::string const staging = folder + ".partial";
    fs::remove_all(staging);
    fs::create_directories(staging);
    std::map<std::string, at::Tensor> tensors;
    for (auto const& p : store.parameters()) tensors[p->spec().name] = p->master();
    write_safetensors(staging + "/model.safetensors", tensors);
    // The header's own coverage proof, and the list of what a model of this kind consists of.
    auto const written = read_safetensors_header(staging + "/model.safetensors");
    auto const specs = parameter_specs(model);
    bool complete = written.size() == specs.size();
    for (auto const& spec : specs) complete &= written.contains(spec.name) && written.at(spec.name).shape == spec.shape;
    if (!complete)
        throw cluster::JobError(folder +
                                ": export does not hold every tensor of the model exactly once; nothing was written");
    cluster::write_file(staging + "/config.json", to_hf_config(model));
    for (auto const* name : kTokenizerFiles)
        if (fs::exists(tokenizer_from + "/" + name)) fs::copy_file(tokenizer_from + "/" + name, staging + "/" + name);
    cluster::commit_file(staging, folder);
}

} // namespace trireme::framework
