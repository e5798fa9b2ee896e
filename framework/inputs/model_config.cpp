#include "framework/inputs/model_config.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/task_heads.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::inputs {

namespace {

/// A decoder's classifier reads the last token that is not padding, in training as where it is
/// served: by the padding token of config.json, on texts that the tokenizer padded with its own.
void choose_pad_token(config::Config const& config, model::Config& model) {
    bool const reads_last = model::traits_of(model.head).rows == data::Per::sample && model.causal;
    if (!reads_last) return;
    for (auto const& folder : {config.data.path, config.model.path}) {
        auto const pad = folder.empty() ? -1 : data::pad_token_of(folder);
        if (pad < 0 || pad >= model.vocabulary) continue;
        if (model.pad_token >= 0 && model.pad_token != pad)
            throw cluster::InputError(fmt::format(
                "{}/config.json: pad_token_id: {}: the tokenizer in {} pads with {}, and where a "
                "text is padded a classifier would read the padding; legal: the same token in both",
                config.model.path, model.pad_token, folder, pad));
        model.pad_token = pad;
        return;
    }
}

/// Names of the tasks for which the model's family has a head.
std::string tasks_of_family(model::Config model) {
    std::string names;
    for (auto const& schema : data::task_schemas()) {
        model.head = tasks::task_of(schema.kind).head();
        if (!pretrained::architecture_of(model).empty())
            names += (names.empty() ? "" : ", ") + std::string(schema.name);
    }
    return names;
}

} // namespace

model::Config read_model_config(config::Config const& config,
                                std::vector<std::string> const& labels) {
    model::Config model = pretrained::read_hf_config(config.model.path);
    tasks::Task const& task = tasks::task_of(data::task_named(config.task, "task").kind);
    model.head = task.head();
    if (std::ssize(labels) < task.schema().least_labels)
        throw cluster::InputError(fmt::format(
            "{}: {} names of labels; legal: {} or more: prepare the data with --task {}",
            config.data.path, labels.size(), task.schema().least_labels, config.task));
    if (pretrained::architecture_of(model).empty())
        throw cluster::InputError(
            fmt::format("task: {}: {} is a {} {}; legal: {}", config.task, config.model.path,
                        pretrained::entry_of(model.family).model_type,
                        model.causal ? "decoder" : "encoder", tasks_of_family(model)));
    model.labels = labels;
    model.classifier_dropout = pretrained::head_dropout(model);
    choose_pad_token(config, model);
    auto const choose = [](double asked, double& ours) {
        if (asked >= 0) ours = asked;
    };
    choose(config.model.hidden_dropout, model.embedding_dropout);
    choose(config.model.hidden_dropout, model.hidden_dropout);
    choose(config.model.attention_dropout, model.attention_dropout);
    choose(config.model.classifier_dropout, model.classifier_dropout);
    return model;
}

void make_room(model::Config& model, data::Manifest const& manifest) {
    std::int64_t const lacking = manifest.vocabulary - model.vocabulary;
    if (lacking > 0 && lacking <= std::ssize(manifest.added_tokens))
        model.vocabulary = manifest.vocabulary;
}

void check_fit(model::Config const& model, data::Dataset const& set, config::Config const& config) {
    std::int64_t sample = 0;
    while (sample < set.size() && set.trained(sample) == 0) ++sample;
    if (sample == set.size()) // its loss would be the mean of nothing
        throw cluster::InputError(fmt::format(
            "{}: none of the {} samples of a split has a label that is trained; legal: at least "
            "one: prepare the data with a larger --max-length, or with other columns",
            config.data.path, set.size()));
    if (set.vocabulary() > model.vocabulary)
        throw cluster::InputError(fmt::format("{}: its tokenizer has {} tokens, {} has room for "
                                              "{}; prepare the data with the model's own tokenizer",
                                              config.data.path, set.vocabulary(), config.model.path,
                                              model.vocabulary));
    // a decoder's tokens have no types
    if (model.token_types > 0 && set.segments() > model.token_types)
        throw cluster::InputError(fmt::format(
            "{}: its tokens have segments from 0 to {}, {} has room for {} "
            "(type_vocab_size); prepare the data with the "
            "model's own tokenizer",
            config.data.path, set.segments() - 1, config.model.path, model.token_types));
    if (set.longest() > model.max_positions)
        throw cluster::InputError(fmt::format("{}: its longest sample has {} tokens, {} has "
                                              "positions for {}; prepare it with --max-length {}",
                                              config.data.path, set.longest(), config.model.path,
                                              model.max_positions, model.max_positions));
}

} // namespace trireme::framework::inputs
