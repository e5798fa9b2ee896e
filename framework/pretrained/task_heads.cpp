#include "framework/pretrained/task_heads.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "data/json.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/hf_config.hpp"

namespace trireme::framework::pretrained {

bool is_task_head(model::Config const& model, std::string const& name) {
    model::HeadNames const head = model::head_names(model);
    for (auto const* layer :
         {&head.classifier, &head.pooler, &head.pooler_norm, &head.transform, &head.transform_norm})
        if (name == layer->weight || name == layer->bias) return true;
    return name == head.vocabulary_bias;
}

namespace {

/// Was the folder's head trained for outputs of another kind, by the class that config.json names?
bool is_of_other_task(model::Config const& model) {
    std::string const found = transformers_class_of(model);
    return (found.ends_with("ForSequenceClassification") ||
            found.ends_with("ForTokenClassification") || found.ends_with("ForQuestionAnswering")) &&
           found != architecture_of(model);
}

} // namespace

bool is_other_head(model::Config const& model, std::string const& name) {
    constexpr std::array kPretraining{"cls.predictions.", "lm_head.",          "embed_out.",
                                      "vocab_transform.", "vocab_layer_norm.", "vocab_projector.",
                                      "decoder."};
    constexpr std::array kOutputs{"score.", "classifier.", "qa_outputs."};
    constexpr std::array kOthers{"cls.seq_relationship."};
    // Below heads of samples only; a RoBERTa's body has one that its classifier does not read.
    constexpr std::array kPooler{"bert.pooler.", "roberta.pooler.", "pooler."};
    auto const begins = [&](auto const& starts) {
        return std::ranges::any_of(starts,
                                   [&](auto const* start) { return name.starts_with(start); });
    };
    model::HeadTraits const head = model::traits_of(model.head);
    if (begins(kOthers) || (!model.causal && begins(kPooler))) return true;
    if (head.of_vocabulary()) return begins(kOutputs);
    return begins(kPretraining) || (begins(kOutputs) && is_of_other_task(model));
}

std::optional<std::vector<std::int64_t>> rows_of_classes(model::Config const& model) {
    if (is_of_other_task(model)) return std::nullopt;
    model::HeadTraits const head = model::traits_of(model.head);
    if (head.learns == data::Values::places) return std::vector<std::int64_t>{0, 1};
    if (head.rows == data::Per::sample && problem_of(model) != head.problem_type)
        return std::nullopt;
    std::map<std::string, std::int64_t> row;
    for (auto const& name : class_names_of(model))
        row.emplace(name, static_cast<std::int64_t>(row.size()));
    std::vector<std::int64_t> rows;
    for (auto const& label : model.labels) {
        auto const found = row.find(label);
        if (found == row.end()) return std::nullopt;
        rows.push_back(found->second);
    }
    bool const all =
        row.size() == model.labels.size() && class_names_of(model).size() == row.size();
    return all ? std::optional(rows) : std::nullopt;
}

static double decoder_token_dropout(model::Config const& model) {
    auto const json = data::parse_json<Json>("config.json", model.source_json);
    // GPT-NeoX has a default of its own, which comes before the second
    bool const own_default = model.family == model::Family::gpt_neox;
    for (auto const* field : {"classifier_dropout", own_default ? "" : "hidden_dropout"})
        if (json.contains(field) && json[field].is_number()) return json[field].get<double>();
    return 0.1;
}

static double dropout_of_answers(model::Config const& model) {
    if (model.family == model::Family::modernbert) return model.classifier_dropout;
    if (model.family != model::Family::distilbert) return 0;
    auto const json = data::parse_json<Json>("config.json", model.source_json);
    Json const found = json.value("qa_dropout", Json());
    return found.is_number() ? found.get<double>() : 0.1;
}

double head_dropout(model::Config const& model) {
    if (model.head == model::HeadKind::question_answering) return dropout_of_answers(model);
    if (model.head != model::HeadKind::token_classification) return model.classifier_dropout;
    if (model.family == model::Family::distilbert) return model.hidden_dropout;
    return model.causal ? decoder_token_dropout(model) : model.classifier_dropout;
}

} // namespace trireme::framework::pretrained
