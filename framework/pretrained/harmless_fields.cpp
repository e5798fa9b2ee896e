#include "framework/pretrained/harmless_fields.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace trireme::framework::pretrained {

namespace {

using Names = std::span<char const* const>;

/// Who made the model, special tokens and their files, which outputs to return, how to generate
/// text, how attention is computed (not what), and leftovers of other frameworks.
constexpr std::array kAny{"_name_or_path",
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
                          "mask_token",
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
                          "total_flos",
                          "name",
                          "model_name",
                          "base_model",
                          "author",
                          "created_date",
                          "max_seq_len",
                          "seq_length",
                          "tokenizer_type",
                          "use_fast",
                          "padding_side",
                          "truncation_side",
                          "min_p",
                          "penalty_alpha",
                          "low_memory",
                          "renormalize_logits",
                          "stop_strings",
                          "max_time",
                          "cache_implementation",
                          "use_flash_attention",
                          "use_flash_attention_2",
                          "flash_attention",
                          "token_healing"};

/// Poolers of BERT's first release, and how a cross-encoder of sentence-transformers shows its
/// logits.
constexpr std::array kBert{"directionality",
                           "pooler_fc_size",
                           "pooler_num_attention_heads",
                           "pooler_num_fc_layers",
                           "pooler_size_per_head",
                           "pooler_type",
                           "sbert_ce_default_activation_function",
                           "sentence_transformers"};

/// reorder_and_upcast_attn: scores in float32, as they are here at least, and another order of one
/// product. summary_: of the model with two heads alone, whose head no task here has. The first
/// release had n_special and predict_special_tokens for words that were added later.
constexpr std::array kGpt2{"reorder_and_upcast_attn",
                           "summary_type",
                           "summary_use_proj",
                           "summary_activation",
                           "summary_proj_to_labels",
                           "summary_first_dropout",
                           "n_special",
                           "predict_special_tokens",
                           "is_decoder"};

/// Says how cross-encoders of sentence-transformers show their logits.
constexpr std::array kRoberta{"sbert_ce_default_activation_function", "sentence_transformers"};

/// sinusoidal_pos_embds: first values of positions before any training. qa_dropout: read by the
/// head for answers.
constexpr std::array kDistilbert{"sbert_ce_default_activation_function", "sentence_transformers",
                                 "sinusoidal_pos_embds", "qa_dropout", "tie_weights_"};

/// position_embedding_type and layer_norm_eps stay from BERT's fields, and nothing reads them. The
/// others say how first values are drawn, which kernels compute and for which tokens.
constexpr std::array kModernbert{"position_embedding_type",   "layer_norm_eps",
                                 "initializer_cutoff_factor", "deterministic_flash_attn",
                                 "reference_compile",         "repad_logits_with_grad",
                                 "sparse_prediction",         "sparse_pred_ignore_index"};

constexpr std::array kGptNeox{"is_decoder"};

constexpr std::array kSmollm3{"is_decoder", "max_window_layers"};

/// hidden_act: read by the first release alone, hidden_activation since. Gemma 3 keeps a cap of
/// scores and does not apply it, and a pattern of windows that layer_types spell out.
constexpr std::array kGemma2{"is_decoder", "hidden_act"};
constexpr std::array kGemma3{"is_decoder", "hidden_act", "attn_logit_softcapping",
                             "_sliding_window_pattern"};

/// is_decoder: causal with it and without, cross-attention being refused.
constexpr std::array kLlama{"is_decoder"};

/// output_router_logits: of mixtures of experts, whose configurations tools copy.
constexpr std::array kMistral{"is_decoder", "output_router_logits"};

/// classifier_from_token: for servers that make a classifier of two rows of the language model's
/// head.
constexpr std::array kQwen{"is_decoder", "output_router_logits", "classifier_from_token",
                           "is_original_qwen3_reranker"};

struct OfFamily {
    char const* model_type;
    Names names;
};
constexpr std::array<OfFamily, 21> kHarmless{{{"bert", kBert},
                                              {"roberta", kRoberta},
                                              {"xlm-roberta", kRoberta},
                                              {"camembert", kRoberta},
                                              {"distilbert", kDistilbert},
                                              {"modernbert", kModernbert},
                                              {"apertus", kLlama},
                                              {"gpt2", kGpt2},
                                              {"gpt_neox", kGptNeox},
                                              {"llama", kLlama},
                                              {"mistral", kMistral},
                                              {"ministral", kMistral},
                                              {"qwen2", kQwen},
                                              {"qwen3", kQwen},
                                              {"granite", kLlama},
                                              {"smollm3", kSmollm3},
                                              {"phi3", kLlama},
                                              {"olmo2", kLlama},
                                              {"olmo3", kLlama},
                                              {"gemma2", kGemma2},
                                              {"gemma3_text", kGemma3}}};

bool holds(Names names, std::string const& name) {
    return std::ranges::find(names, name) != names.end();
}

} // namespace

bool is_harmless(std::string const& model_type, std::string const& name) {
    // Unsloth signs what it saves with fields of its own
    return name.starts_with("unsloth_") || holds(kAny, name) ||
           std::ranges::any_of(kHarmless, [&](OfFamily const& of) {
               return model_type == of.model_type && holds(of.names, name);
           });
}

} // namespace trireme::framework::pretrained
