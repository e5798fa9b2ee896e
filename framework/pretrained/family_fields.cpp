#include "framework/pretrained/family_fields.hpp"

#include <array>
#include <string>

namespace trireme::framework::pretrained {

model::Activation activation(Fields& fields, char const* field, char const* otherwise) {
    struct Name {
        char const* name;
        model::Activation activation;
    };
    constexpr std::array<Name, 6> kNames{{{"silu", model::Activation::silu},
                                          {"swish", model::Activation::silu},
                                          {"gelu", model::Activation::gelu},
                                          {"gelu_new", model::Activation::gelu_tanh},
                                          {"gelu_pytorch_tanh", model::Activation::gelu_tanh},
                                          {"relu", model::Activation::relu}}};
    auto const asked = fields.get(field, std::string(otherwise));
    for (auto const& n : kNames)
        if (asked == n.name) return n.activation;
    bool const has_numbers = std::string(otherwise) == "xielu"; // in the tensors of this family
    if (has_numbers && asked == otherwise) return model::Activation::xielu;
    fields.refuse(field, std::string(has_numbers ? "xielu, " : "") +
                             "silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu");
}

std::int64_t layer_count(Fields& fields, char const* field) {
    auto const layers = fields.positive(field);
    if (layers > 10'000) fields.refuse(field, "at most 10000");
    return layers;
}

void read_shape(Fields& fields, model::Config& c, Defaults const& otherwise) {
    c.hidden = fields.positive("hidden_size");
    c.layers = layer_count(fields, "num_hidden_layers");
    c.heads = fields.positive("num_attention_heads");
    c.feed_forward = fields.positive("intermediate_size");
    c.vocabulary = fields.positive("vocab_size");
    c.max_positions = fields.positive("max_position_embeddings", otherwise.positions);
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields, otherwise.activation_field, otherwise.activation);
}

void read_pad_token(Fields& fields, model::Config& c, std::int64_t otherwise) {
    c.pad_token = fields.get("pad_token_id", fields.contains("pad_token_id") ? kNone : otherwise);
    c.untrained_token = c.pad_token;
    if (c.pad_token < 0 && fields.has("pad_token_id")) // as an index of rows it counts from the end
        c.untrained_token += c.vocabulary;
    if (c.pad_token >= c.vocabulary || c.pad_token < -c.vocabulary)
        fields.refuse("pad_token_id", "a token of the vocabulary, or null");
}

} // namespace trireme::framework::pretrained
