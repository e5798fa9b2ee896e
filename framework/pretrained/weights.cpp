#include "framework/pretrained/weights.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "cluster/error.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/hf_tensors.hpp"

namespace trireme::framework {

using Entries = std::map<std::string, TensorEntry>;

namespace {

/// A head that a task may start anew, with whatever is between it and the body.
bool is_task_head(ModelConfig const& model, std::string const& name) {
    HeadNames const head = head_names(model);
    return name == head.classifier.weight || name == head.classifier.bias || name == head.pooler.weight ||
           name == head.pooler.bias;
}

/// Buffers of older versions, and heads of other tasks: a folder may carry them, and this run has no use for them.
bool is_expendable(std::string const& name) {
    constexpr std::array kBuffers{"position_ids", "rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"};
    constexpr std::array kHeads{"cls.", "classifier.", "lm_head.", "score."};
    return std::ranges::any_of(kBuffers, [&](auto const* end) { return name.ends_with(end); }) ||
           std::ranges::any_of(kHeads, [&](auto const* start) { return name.starts_with(start); });
}

void refuse_leftovers(std::string const& folder, Entries const& entries, std::set<std::string> const& used,
                      ModelConfig const& model) {
    for (auto const& [name, entry] : entries)
        if (!used.contains(name) && !is_expendable(name))
            throw cluster::InputError(fmt::format(
                "{}: tensor {} has no place in this {} model of {} layers; legal: the tensors that {}/config.json "
                "describes",
                entry.file, name, entry_of(model.family).model_type, model.layers, folder));
}

/// A part of a tensor's values, as a run may begin with them.
at::Tensor read_finite(std::string const& name, TensorEntry const& entry, Rectangle const& rectangle) {
    at::Tensor values = read_tensor(name, entry, rectangle);
    std::int64_t const wrong = values.numel() - at::isfinite(values).sum().item<std::int64_t>();
    if (wrong)
        throw cluster::InputError(fmt::format("{}: {}: {} of its {} values are NaN or infinite; legal: finite numbers",
                                              entry.file, name, wrong, values.numel()));
    return values;
}

/// The smallest rectangle of the parameter that holds all that this rank keeps of it.
Rectangle kept_rectangle(parallel::ParameterStore& store, parallel::Parameter const& parameter) {
    Rectangle r{Shape(parameter.spec().shape.size()), parameter.spec().shape};
    std::int64_t const width = parameter.spec().shape.size() == 2 ? parameter.spec().shape[1] : 1;
    std::int64_t first = parameter.spec().shape[0], last = -1;
    store.for_each_kept(parameter, [&](parallel::Run const& run, at::Tensor const&) {
        first = std::min(first, run.global / width);
        last = std::max(last, (run.global + run.count - 1) / width);
    });
    r.start[0] = std::min(first, last + 1);
    r.count[0] = last + 1 - r.start[0];
    if (parameter.spec().cut.dim == 1) {
        r.start[1] = parameter.slice().first;
        r.count[1] = parameter.slice().real;
    }
    return r;
}

/// Each parameter reads its own part of the tensor alone, and of it what this rank keeps.
void copy_in(HfTensor const& tensor, std::string const& name, TensorEntry const& entry,
             parallel::ParameterStore& store) {
    for (auto const& part : tensor.parts) {
        if (!store.contains(part.parameter)) continue; // on another pipeline stage
        auto const& parameter = store.at(part.parameter);
        Rectangle const kept = kept_rectangle(store, parameter);
        if (kept.elements() == 0) continue;
        Rectangle in_file = rectangle_of(tensor, part);
        for (std::size_t d = 0; d < kept.start.size(); ++d) {
            in_file.start[d] += kept.start[d];
            in_file.count[d] = kept.count[d];
        }
        // Rows of `flat` are those of the parameter from the first kept one, cut to the kept columns.
        at::Tensor const flat = read_finite(name, entry, in_file).flatten();
        bool const matrix = kept.count.size() == 2;
        std::int64_t const width = matrix ? parameter.spec().shape[1] : 1, left = matrix ? kept.start[1] : 0,
                           kept_width = matrix ? kept.count[1] : 1;
        store.for_each_kept(parameter, [&](parallel::Run const& run, at::Tensor const& values) {
            std::int64_t const row = run.global / width - kept.start[0], column = run.global % width - left;
            values.copy_(flat.narrow(0, row * kept_width + column, run.count));
        });
    }
}

struct Source {
    HfTensor tensor;
    Entries::value_type const* entry; ///< null: a head that is made anew
};

/// Where each tensor of a model comes from.
std::vector<Source> match(std::string const& folder, Entries const& entries, ModelConfig const& model) {
    // A classifier of other labels is the wrong one even when its shape fits.
    bool const same_labels = labels_of(model) == model.labels;
    LinearNames const classifier = head_names(model).classifier;
    std::vector<Source> sources;
    std::set<std::string> used;
    for (auto const& tensor : hf_tensors(model)) {
        bool const stale = !same_labels && (tensor.name == classifier.weight || tensor.name == classifier.bias);
        auto const found = find_tensor(entries, model, tensor.name);
        bool const there = found != entries.end() && !stale;
        if (!there && !is_task_head(model, tensor.name))
            throw cluster::InputError(
                fmt::format("{}: tensor {} is missing; legal: every tensor that {}/config.json describes", folder,
                            tensor.name, folder));
        sources.push_back({tensor, there ? &*found : nullptr});
        if (!there) continue;
        auto const& [name, entry] = *found;
        if (entry.shape != tensor.shape)
            throw cluster::InputError(fmt::format("{}: {}: shape [{}]: legal: [{}], as config.json says", entry.file,
                                                  name, fmt::join(entry.shape, ", "), fmt::join(tensor.shape, ", ")));
        weight_dtype(name, entry);
        used.insert(name);
    }
    refuse_leftovers(folder, entries, used, model);
    return sources;
}

} // namespace

Entries::const_iterator find_tensor(Entries const& entries, ModelConfig const& model, std::string const& name) {
    std::vector<std::string> spellings{name};
    std::string const prefix = body_prefix(model);
    if (name.starts_with(prefix)) spellings.push_back(name.substr(prefix.size()));
    for (std::size_t i = 0, n = spellings.size(); i < n; ++i) {
        std::string const s = spellings[i];
        if (s.ends_with("LayerNorm.weight")) spellings.push_back(s.substr(0, s.size() - 6) + "gamma");
        if (s.ends_with("LayerNorm.bias")) spellings.push_back(s.substr(0, s.size() - 4) + "beta");
    }
    for (auto const& spelling : spellings)
        if (auto const found = entries.find(spelling); found != entries.end()) return found;
    return entries.end();
}

ModelConfig read_model_config(Config const& config, std::vector<std::string> const& labels) {
    ModelConfig model = read_hf_config(config.model.path);
    model.head = config.task == "classification" ? HeadKind::classification : HeadKind::language_model;
    if (model.head == HeadKind::classification && labels.size() < 2)
        throw cluster::InputError(
            fmt::format("{}: {} classes; legal: 2 or more: prepare the data with --task classification",
                        config.data.path, labels.size()));
    if (architecture_of(model).empty())
        throw cluster::InputError(fmt::format("task: {}: {} is a {} encoder; legal: classification", config.task,
                                              config.model.path, entry_of(model.family).model_type));
    model.labels = labels;
    auto const choose = [](double asked, double& ours) {
        if (asked >= 0) ours = asked;
    };
    choose(config.model.hidden_dropout, model.embedding_dropout);
    choose(config.model.hidden_dropout, model.hidden_dropout);
    choose(config.model.attention_dropout, model.attention_dropout);
    choose(config.model.classifier_dropout, model.classifier_dropout);
    return model;
}

void check_fit(ModelConfig const& model, data::Dataset const& set, Config const& config) {
    if (set.vocabulary() > model.vocabulary)
        throw cluster::InputError(fmt::format(
            "{}: its tokenizer has {} tokens, {} has room for {}; prepare the data with the model's own tokenizer",
            config.data.path, set.vocabulary(), config.model.path, model.vocabulary));
    if (set.longest() > model.max_positions)
        throw cluster::InputError(fmt::format(
            "{}: its longest sample has {} tokens, {} has positions for {}; prepare it with --max-length {}",
            config.data.path, set.longest(), config.model.path, model.max_positions, model.max_positions));
}

std::int64_t planned_steps(Config const& config, std::int64_t samples) {
    if (config.train.steps > 0) return config.train.steps;
    double const exact = config.train.epochs * static_cast<double>(samples) / static_cast<double>(config.batch.global);
    if (exact > 1e15)
        throw cluster::InputError(fmt::format("train.epochs: {}: legal: at most 1e15 steps", config.train.epochs));
    auto const steps = static_cast<std::int64_t>(std::floor(exact));
    if (steps < 1)
        throw cluster::InputError(
            fmt::format("train.epochs: {}: {} samples make no whole step of batch.global {}; legal: {} or more",
                        config.train.epochs, samples, config.batch.global,
                        static_cast<double>(config.batch.global) / static_cast<double>(samples)));
    return steps;
}

void check_weights(Config const& config, ModelConfig const& model) {
    if (!config.model.from_scratch) match(config.model.path, find_tensors(config.model.path), model);
}

std::vector<std::string> load_weights(Config const& config, ModelConfig const& model, parallel::ParameterStore& store) {
    std::vector<std::string> notes, fresh;
    if (config.model.from_scratch) {
        for (auto const& p : store.parameters()) store.initialize(*p, config.seed);
        return {"all weights start from seed " + std::to_string(config.seed)};
    }
    Entries const entries = find_tensors(config.model.path);
    for (auto const& [tensor, entry] : match(config.model.path, entries, model)) {
        if (entry) {
            copy_in(tensor, entry->first, entry->second, store);
            continue;
        }
        for (auto const& part : tensor.parts)
            if (store.contains(part.parameter)) store.initialize(store.at(part.parameter), config.seed);
        fresh.push_back(tensor.name);
    }
    if (!fresh.empty()) notes.push_back(fmt::format("new, from seed {}: {}", config.seed, fmt::join(fresh, ", ")));
    return notes;
}

} // namespace trireme::framework
