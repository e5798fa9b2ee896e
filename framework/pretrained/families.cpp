#include "framework/pretrained/families.hpp"

#include <algorithm>
#include <array>

#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

using model::Family;

constexpr std::array<FamilyEntry, 22> kFamilies{{
    {"bert", Family::bert, read_bert, "", "BertForSequenceClassification", "Bert"},
    {"roberta", Family::roberta, read_roberta, "", "RobertaForSequenceClassification", "Roberta"},
    {"xlm-roberta", Family::xlm_roberta, read_roberta, "", "XLMRobertaForSequenceClassification",
     "XLMRoberta"},
    {"camembert", Family::camembert, read_roberta, "", "CamembertForSequenceClassification",
     "Camembert"},
    {"distilbert", Family::distilbert, read_distilbert, "", "DistilBertForSequenceClassification",
     "DistilBert"},
    {"eurobert", Family::eurobert, read_eurobert, "", "EuroBertForSequenceClassification",
     "EuroBert", false},
    {"modernbert", Family::modernbert, read_modernbert, "", "ModernBertForSequenceClassification",
     "ModernBert"},
    {"gpt2", Family::gpt2, read_gpt2, "GPT2LMHeadModel", "GPT2ForSequenceClassification", "GPT2"},
    {"gpt_neox", Family::gpt_neox, read_gpt_neox, "GPTNeoXForCausalLM",
     "GPTNeoXForSequenceClassification", "GPTNeoX"},
    {"llama", Family::llama, read_llama, "LlamaForCausalLM", "LlamaForSequenceClassification",
     "Llama"},
    {"mistral", Family::mistral, read_mistral, "MistralForCausalLM",
     "MistralForSequenceClassification", "Mistral"},
    {"ministral", Family::ministral, read_ministral, "MinistralForCausalLM",
     "MinistralForSequenceClassification", "Ministral"},
    {"qwen2", Family::qwen2, read_qwen2, "Qwen2ForCausalLM", "Qwen2ForSequenceClassification",
     "Qwen2"},
    {"qwen3", Family::qwen3, read_qwen3, "Qwen3ForCausalLM", "Qwen3ForSequenceClassification",
     "Qwen3"},
    {"apertus", Family::apertus, read_apertus, "ApertusForCausalLM", "", "Apertus", false},
    {"granite", Family::granite, read_granite, "GraniteForCausalLM", ""},
    {"smollm3", Family::smollm3, read_smollm3, "SmolLM3ForCausalLM",
     "SmolLM3ForSequenceClassification", "SmolLM3"},
    {"phi3", Family::phi3, read_phi3, "Phi3ForCausalLM", "Phi3ForSequenceClassification", "Phi3",
     false},
    {"olmo2", Family::olmo2, read_olmo2, "Olmo2ForCausalLM", "Olmo2ForSequenceClassification"},
    {"olmo3", Family::olmo3, read_olmo3, "Olmo3ForCausalLM", "Olmo3ForSequenceClassification"},
    {"gemma2", Family::gemma2, read_gemma2, "Gemma2ForCausalLM", "Gemma2ForSequenceClassification",
     "Gemma2", false},
    {"gemma3_text", Family::gemma3, read_gemma3, "Gemma3ForCausalLM",
     "Gemma3TextForSequenceClassification"},
}};

} // namespace

std::span<FamilyEntry const> families() {
    return kFamilies;
}

FamilyEntry const& entry_of(model::Family family) {
    return *std::ranges::find(kFamilies, family, &FamilyEntry::family);
}

std::string architecture_of(model::Config const& config) {
    FamilyEntry const& entry = entry_of(config.family);
    std::string const stem = entry.tokens;
    auto const of_tokens = [&](char const* end) { return stem.empty() ? "" : stem + end; };
    switch (config.head) {
    case model::HeadKind::language_model: return entry.language_model;
    case model::HeadKind::masked_language_model:
        return config.causal ? "" : of_tokens("ForMaskedLM");
    case model::HeadKind::classification:
    case model::HeadKind::regression:
    case model::HeadKind::multi_label: return entry.classifier;
    case model::HeadKind::token_classification: return of_tokens("ForTokenClassification");
    case model::HeadKind::question_answering:
        return entry.answers ? of_tokens("ForQuestionAnswering") : "";
    }
    return ""; // every kind returns above
}

} // namespace trireme::framework::pretrained
