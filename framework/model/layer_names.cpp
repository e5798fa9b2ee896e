#include "framework/model/layer_names.hpp"

#include "framework/model/name_tables.hpp"

namespace trireme::framework::model {

namespace {

NameTable const& table_of(Config const& config) {
    switch (config.family) {
    case Family::bert: return kBert;
    case Family::roberta:
    case Family::xlm_roberta:
    case Family::camembert: return kRoberta;
    case Family::distilbert: return kDistilbert;
    case Family::eurobert: return kEurobert;
    case Family::gpt2: return kGpt2;
    case Family::gpt_neox: return kGptNeox;
    case Family::phi3: return kPhi3;
    case Family::olmo2:
    case Family::olmo3: return kOlmo;
    case Family::gemma2:
    case Family::gemma3: return kGemma;
    case Family::modernbert: return kModernbert;
    case Family::apertus: return kApertus;
    case Family::llama:
    case Family::mistral:
    case Family::ministral:
    case Family::qwen2:
    case Family::qwen3:
    case Family::granite:
    case Family::smollm3: break;
    }
    return kLlama;
}

std::string body_of(Config const& config) {
    NameTable const& t = table_of(config);
    bool const own = config.head == HeadKind::question_answering && *t.body_of_answers &&
                     config.family != Family::mistral;
    return own ? t.body_of_answers : t.body;
}

std::string weight(std::string const& prefix, std::string const& part) {
    return part.empty() ? "" : prefix + part + ".weight";
}
LinearNames linear(std::string const& prefix, std::string const& part, bool bias) {
    return {weight(prefix, part), bias && !part.empty() ? prefix + part + ".bias" : ""};
}
void name_numbers(LayerNames& names, std::string const& activation) {
    names.activation_positive = activation + "alpha_p";
    names.activation_negative = activation + "alpha_n";
    names.activation_beta = activation + "beta";
    names.activation_epsilon = activation + "eps";
}
bool norms_have_bias(Config const& config) {
    return config.norm == Norm::layer && config.norm_bias;
}

} // namespace

std::vector<std::string> body_prefixes(Config const& config) {
    NameTable const& t = table_of(config);
    return {body_of(config), t.body, t.body_of_answers, ""};
}

EmbeddingNames embedding_names(Config const& config) {
    NameTable const& t = table_of(config);
    std::string const body = body_of(config);
    return {weight(body, t.tokens), weight(body, t.positions), weight(body, t.segments),
            linear(body, t.embedding_norm, norms_have_bias(config))};
}

LayerNames layer_names(Config const& config, std::int64_t layer) {
    NameTable const& t = table_of(config);
    std::string prefix = body_of(config) + t.layer;
    prefix.replace(prefix.find('#'), 1, std::to_string(layer));
    bool const norm_bias = norms_have_bias(config),
               qk_norm = config.query_key_norm != QueryKeyNorm::none,
               first = layer == 0 && !config.first_norm;
    LayerNames names{.query = linear(prefix, t.query, config.attention_bias),
                     .key = linear(prefix, t.key, config.attention_bias),
                     .value = linear(prefix, t.value, config.attention_bias),
                     .output = linear(prefix, t.output, config.output_bias),
                     .gate = linear(prefix, t.gate, config.feed_forward_bias),
                     .up = linear(prefix, t.up, config.feed_forward_bias),
                     .down = linear(prefix, t.down, config.feed_forward_bias),
                     .attention_norm = linear(prefix, first ? "" : t.attention_norm, norm_bias),
                     .feed_forward_norm = linear(prefix, t.feed_forward_norm, norm_bias),
                     .attention_output_norm = linear(prefix, t.attention_output_norm, norm_bias),
                     .feed_forward_output_norm =
                         linear(prefix, t.feed_forward_output_norm, norm_bias),
                     .query_norm = linear(prefix, qk_norm ? t.query_norm : "", false),
                     .key_norm = linear(prefix, qk_norm ? t.key_norm : "", false)};
    if (config.activation == Activation::xielu) name_numbers(names, prefix + t.activation);
    return names;
}

HeadNames head_names(Config const& config) {
    NameTable const& t = table_of(config);
    bool const norm_bias = norms_have_bias(config);
    HeadNames names{.norm = linear(body_of(config), t.norm, norm_bias)};
    HeadTraits const head = traits_of(config.head);
    bool const masked = config.head == HeadKind::masked_language_model;
    if (masked || (t.all_transform && head.rows == data::Per::token)) {
        names.transform = linear("", t.transform, config.transform_bias);
        names.transform_norm = linear("", t.transform_norm, norm_bias);
    }
    if (masked && config.vocabulary_bias) names.vocabulary_bias = t.vocabulary_bias;
    if (head.of_vocabulary())
        names.language_model =
            config.tied_embeddings ? embedding_names(config).tokens : weight("", t.language_model);
    else if (head.learns == data::Values::places)
        names.classifier = linear("", t.answers, true);
    else if (head.rows == data::Per::token)
        names.classifier = linear("", t.token_classifier, true);
    else
        names.classifier = linear("", t.classifier, t.classifier_bias);
    if (head.rows == data::Per::sample) {
        names.pooler = *t.head_pooler ? linear("", t.head_pooler, config.transform_bias)
                                      : linear(t.body, t.pooler, true);
        names.pooler_norm = linear("", t.pooler_norm, norm_bias);
    }
    return names;
}

std::string stored_name(Config const& config, std::string const& parameter) {
    NameTable const& t = table_of(config);
    for (std::string const fused : {t.fused, t.fused_up}) {
        auto const at = fused.empty() ? std::string::npos : parameter.find(fused + ".");
        if (at == std::string::npos) continue;
        std::string whole = parameter;
        return whole.erase(at + fused.size(), 2); // the ".q" of "fused.q.weight"
    }
    return parameter;
}

} // namespace trireme::framework::model
