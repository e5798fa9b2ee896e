#include "framework/pretrained/config_fields.hpp"

#include <algorithm>
#include <array>

namespace trireme::framework::pretrained {

namespace {

/// Fields of any config.json that do not change what is computed: bookkeeping, special tokens,
/// which outputs to return, how to generate text, and leftovers of other frameworks.
constexpr std::array kHarmless{"_name_or_path",
                               "name_or_path",
                               "architectures",
                               "model_type",
                               "transformers_version",
                               "torch_dtype",
                               "dtype",
                               "tokenizer_class",
                               "task_specific_params",
                               "finetuning_task",
                               "id2label",
                               "label2id",
                               "num_labels",
                               "_num_labels",
                               "problem_type",
                               "bos_token_id",
                               "eos_token_id",
                               "sep_token_id",
                               "cls_token_id",
                               "mask_token_id",
                               "unk_token_id",
                               "decoder_start_token_id",
                               "prefix",
                               "output_attentions",
                               "output_hidden_states",
                               "output_past",
                               "return_dict",
                               "tie_last_hidden_states",
                               "use_cache",
                               "gradient_checkpointing",
                               "chunk_size_feed_forward",
                               "attn_implementation",
                               "_attn_implementation",
                               "_attn_implementation_autoset",
                               "_flash_attn_2_enabled",
                               "tf_legacy_loss",
                               "use_bfloat16",
                               "max_length",
                               "min_length",
                               "max_new_tokens",
                               "do_sample",
                               "early_stopping",
                               "num_beams",
                               "num_beam_groups",
                               "diversity_penalty",
                               "temperature",
                               "top_k",
                               "top_p",
                               "typical_p",
                               "repetition_penalty",
                               "length_penalty",
                               "no_repeat_ngram_size",
                               "encoder_no_repeat_ngram_size",
                               "bad_words_ids",
                               "num_return_sequences",
                               "output_scores",
                               "return_dict_in_generate",
                               "forced_bos_token_id",
                               "forced_eos_token_id",
                               "remove_invalid_values",
                               "is_llama_config",
                               "transformers.js_config",
                               "model_max_length",
                               "pad_token",
                               "bos_token",
                               "eos_token",
                               "unk_token",
                               "_commit_hash",
                               "_attn_implementation_internal",
                               "use_flash_attn",
                               "neftune_noise_alpha",
                               "license",
                               "language",
                               "exponential_decay_length_penalty",
                               "suppress_tokens",
                               "begin_suppress_tokens",
                               "eos_token_ids",
                               "end_token_id",
                               "sep_token",
                               "xla_device",
                               "model_parallel",
                               "use_return_dict",
                               "is_composition",
                               "keys_to_ignore_at_inference",
                               "num_logits_to_keep",
                               "logits_to_keep",
                               "max_sequence_length",
                               "max_seq_length",
                               "tokenizer_name",
                               "vocab_file",
                               "trust_remote_code",
                               "generation_config",
                               "_experts_implementation",
                               "experts_implementation",
                               "save_step",
                               "total_flos"};

/// Unsloth signs what it saves with fields of its own.
bool is_harmless(std::string const& name) {
    return name.starts_with("unsloth_") || std::ranges::find(kHarmless, name) != kHarmless.end();
}

} // namespace

std::int64_t Fields::positive(char const* name) {
    auto const value = get<std::int64_t>(name);
    constexpr std::int64_t kMost = 1 << 30; // products of two sizes do not overflow
    if (value <= 0 || value > kMost)
        refuse(name, value > 0 ? "at most 1073741824" : "a whole number > 0");
    return value;
}

std::int64_t Fields::positive(char const* name, std::int64_t otherwise) {
    seen_.insert(name);
    return has(name) ? positive(name) : otherwise;
}

double Fields::positive_real(char const* name, double otherwise) {
    auto const value = get(name, otherwise);
    if (!(value > 0)) refuse(name, "a number > 0");
    return value;
}

double Fields::probability(char const* name, double otherwise) {
    auto const value = get(name, otherwise);
    if (!(value >= 0 && value < 1)) refuse(name, "a number in [0, 1)");
    return value;
}

Fields Fields::object(char const* name) {
    static Json const none = Json::object();
    seen_.insert(name);
    if (has(name) && !json_[name].is_object()) refuse(name, "an object");
    return {path_, has(name) ? json_[name] : none, prefix_ + name + "."};
}

void Fields::require(char const* name, Json const& legal) {
    seen_.insert(name);
    if (has(name) && json_[name] != legal) refuse(name, legal.dump());
}

void Fields::refuse(char const* name, std::string const& legal) const {
    throw cluster::InputError(fmt::format("{}: {}{}: {}: legal: {}", path_, prefix_, name,
                                          contains(name) ? data::shown(json_[name]) : "absent",
                                          legal));
}

std::vector<std::string> differing_fields(nlohmann::json const& a, nlohmann::json const& b) {
    std::set<std::string> names;
    for (auto const& json : {a, b})
        for (auto const& [name, value] : json.items())
            if (!is_harmless(name) &&
                a.value(name, nlohmann::json()) != b.value(name, nlohmann::json()))
                names.insert(name);
    return {names.begin(), names.end()};
}

void Fields::check_all_known() const {
    for (auto const& [name, value] : json_.items())
        if (!seen_.contains(name) && !value.is_null() && (!prefix_.empty() || !is_harmless(name)))
            throw cluster::InputError(fmt::format("{}: {}{}: {}: a field this version does not "
                                                  "know, so the model might be computed wrongly",
                                                  path_, prefix_, name, data::shown(value)));
}

} // namespace trireme::framework::pretrained
