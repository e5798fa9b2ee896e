#include "framework/pretrained/hf_config.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::framework {

namespace {

using Json = nlohmann::ordered_json;

/// Fields of any config.json that do not change what is computed.
constexpr std::array kHarmless{"_name_or_path",
                               "architectures",
                               "transformers_version",
                               "torch_dtype",
                               "dtype",
                               "use_cache",
                               "bos_token_id",
                               "eos_token_id",
                               "pad_token_id",
                               "sep_token_id",
                               "cls_token_id",
                               "mask_token_id",
                               "gradient_checkpointing",
                               "id2label",
                               "label2id",
                               "num_labels",
                               "problem_type",
                               "finetuning_task",
                               "model_type",
                               "output_attentions",
                               "output_hidden_states",
                               "return_dict",
                               "unk_token_id",
                               "decoder_start_token_id",
                               "tokenizer_class",
                               "_attn_implementation_autoset",
                               "_flash_attn_2_enabled",
                               "directionality",
                               "pooler_fc_size",
                               "pooler_num_attention_heads",
                               "pooler_num_fc_layers",
                               "pooler_size_per_head",
                               "pooler_type",
                               "add_cross_attention",
                               "is_decoder",
                               "pretraining_tp",
                               "chunk_size_feed_forward"};

/// Reads fields, and remembers which, so that what nobody read can be refused.
class Fields {
  public:
    Fields(std::string path, Json const& json) : path_(std::move(path)), json_(json) {}

    template <typename T>
    T get(char const* name) {
        seen_.insert(name);
        if (!json_.contains(name)) throw cluster::InputError(fmt::format("{}: {}: missing", path_, name));
        return convert<T>(name);
    }
    template <typename T>
    T get(char const* name, T otherwise) {
        seen_.insert(name);
        return json_.contains(name) && !json_[name].is_null() ? convert<T>(name) : otherwise;
    }
    /// A field whose other values would compute something else than we do.
    void require(char const* name, Json const& legal) {
        seen_.insert(name);
        if (json_.contains(name) && !json_[name].is_null() && json_[name] != legal) refuse(name, legal.dump());
    }
    [[noreturn]] void refuse(char const* name, std::string const& legal) const {
        throw cluster::InputError(fmt::format("{}: {}: {}: legal: {}", path_, name, json_.at(name).dump(), legal));
    }
    void check_all_known() const {
        for (auto const& [name, value] : json_.items())
            if (!seen_.contains(name) && std::ranges::find(kHarmless, name) == kHarmless.end())
                throw cluster::InputError(fmt::format(
                    "{}: {}: {}: a field this version does not know, so the model might be computed wrongly", path_,
                    name, value.dump()));
    }

  private:
    template <typename T>
    T convert(char const* name) {
        try {
            return json_[name].template get<T>();
        } catch (nlohmann::json::exception const&) {
            throw cluster::InputError(fmt::format("{}: {}: {}: wrong type", path_, name, json_[name].dump()));
        }
    }
    std::string path_;
    Json const& json_;
    std::set<std::string> seen_;
};

std::int64_t positive(Fields& fields, char const* name) {
    auto const value = fields.get<std::int64_t>(name);
    if (value <= 0) fields.refuse(name, "a whole number > 0");
    return value;
}

Activation activation(Fields& fields) {
    auto const name = fields.get<std::string>("hidden_act");
    if (name == "silu" || name == "swish") return Activation::silu;
    if (name == "gelu") return Activation::gelu;
    if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
    if (name == "relu") return Activation::relu;
    fields.refuse("hidden_act", "silu, gelu, gelu_new, gelu_pytorch_tanh, relu");
}

void read_shape(Fields& fields, ModelConfig& c) {
    c.hidden = positive(fields, "hidden_size");
    c.layers = positive(fields, "num_hidden_layers");
    c.heads = positive(fields, "num_attention_heads");
    c.feed_forward = positive(fields, "intermediate_size");
    c.vocabulary = positive(fields, "vocab_size");
    c.max_positions = positive(fields, "max_position_embeddings");
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields);
}

double rotary_base(Fields& fields) {
    fields.require("rope_scaling", nullptr);
    double const base = fields.get("rope_theta", 10000.0);
    // transformers 5 keeps both in one object.
    Json const parameters = fields.get("rope_parameters", Json::object());
    for (auto const& [name, value] : parameters.items())
        if (name != "rope_theta" && !(name == "rope_type" && value == "default"))
            fields.refuse("rope_parameters", "rope_theta with rope_type default");
    return parameters.value("rope_theta", base);
}

void read_llama(Fields& fields, ModelConfig& c) {
    c.family = Family::llama;
    c.key_heads = fields.get("num_key_value_heads", c.heads);
    c.head_size = fields.get("head_dim", c.hidden / c.heads);
    c.norm = Norm::rms;
    c.norm_epsilon = fields.get("rms_norm_eps", 1e-6);
    c.gated = c.norm_first = c.causal = true;
    if (c.activation != Activation::silu) fields.refuse("hidden_act", "silu");
    c.attention_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = fields.get("mlp_bias", false);
    c.positions = Positions::rotary;
    c.rotary_base = rotary_base(fields);
    c.tied_embeddings = fields.get("tie_word_embeddings", false);
    c.attention_dropout = fields.get("attention_dropout", 0.0);
    if (c.key_heads <= 0 || c.heads % c.key_heads)
        fields.refuse("num_key_value_heads", "a divisor of num_attention_heads");
    if (c.head_size % 2) fields.refuse("head_dim", "an even number, for rotary positions");
}

void read_bert(Fields& fields, ModelConfig& c) {
    c.family = Family::bert;
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    c.key_heads = c.heads;
    c.head_size = c.hidden / c.heads;
    c.token_types = positive(fields, "type_vocab_size");
    c.norm = Norm::layer;
    c.norm_epsilon = fields.get("layer_norm_eps", 1e-12);
    c.gated = c.norm_first = c.causal = false;
    c.attention_bias = c.feed_forward_bias = true;
    c.positions = Positions::learned;
    fields.require("position_embedding_type", "absolute");
    fields.require("tie_word_embeddings", true);
    c.tied_embeddings = true;
    c.hidden_dropout = fields.get("hidden_dropout_prob", 0.1);
    c.attention_dropout = fields.get("attention_probs_dropout_prob", 0.1);
    c.classifier_dropout = fields.get("classifier_dropout", c.hidden_dropout);
}

char const* architecture(ModelConfig const& c) {
    bool const classify = c.head == HeadKind::classification;
    if (c.family == Family::llama) return classify ? "LlamaForSequenceClassification" : "LlamaForCausalLM";
    return classify ? "BertForSequenceClassification" : "BertForMaskedLM";
}

} // namespace

ModelConfig read_hf_config(std::string const& folder) {
    std::string const path = folder + "/config.json";
    ModelConfig c;
    c.source_json = cluster::read_file(path);
    Json json;
    try {
        json = Json::parse(c.source_json);
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(path + ": " + error.what());
    }
    if (!json.is_object()) throw cluster::InputError(path + ": not a JSON object");
    Fields fields(path, json);
    auto const family = fields.get<std::string>("model_type");
    if (family != "llama" && family != "bert") fields.refuse("model_type", "bert, llama");
    read_shape(fields, c);
    family == "llama" ? read_llama(fields, c) : read_bert(fields, c);
    fields.check_all_known();
    return c;
}

std::string to_hf_config(ModelConfig const& c) {
    Json json = Json::parse(c.source_json);
    json["architectures"] = {architecture(c)};
    if (json.contains("torch_dtype")) json["torch_dtype"] = "float32";
    if (json.contains("dtype")) json["dtype"] = "float32";
    json.erase("id2label");
    json.erase("label2id");
    if (c.head == HeadKind::classification) {
        for (std::size_t i = 0; i < c.labels.size(); ++i) {
            json["id2label"][std::to_string(i)] = c.labels[i];
            json["label2id"][c.labels[i]] = i;
        }
        json["problem_type"] = "single_label_classification";
    }
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
