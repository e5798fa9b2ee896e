#include "framework/pretrained/families.hpp"

#include <algorithm>
#include <array>

#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

using model::Family;

constexpr std::array<FamilyEntry, 20> kFamilies{{
    {"bert", Family::bert, read_bert, "", "BertForSequenceClassification"},
    {"roberta", Family::roberta, read_roberta, "", "RobertaForSequenceClassification"},
    {"xlm-roberta", Family::xlm_roberta, read_roberta, "", "XLMRobertaForSequenceClassification"},
    {"camembert", Family::camembert, read_roberta, "", "CamembertForSequenceClassification"},
    {"distilbert", Family::distilbert, read_distilbert, "", "DistilBertForSequenceClassification"},
    {"eurobert", Family::eurobert, read_eurobert, "", "EuroBertForSequenceClassification"},
    {"gpt2", Family::gpt2, read_gpt2, "GPT2LMHeadModel", "GPT2ForSequenceClassification"},
    {"gpt_neox", Family::gpt_neox, read_gpt_neox, "GPTNeoXForCausalLM",
     "GPTNeoXForSequenceClassification"},
    {"llama", Family::llama, read_llama, "LlamaForCausalLM", "LlamaForSequenceClassification"},
    {"mistral", Family::mistral, read_mistral, "MistralForCausalLM",
     "MistralForSequenceClassification"},
    {"ministral", Family::ministral, read_ministral, "MinistralForCausalLM",
     "MinistralForSequenceClassification"},
    {"qwen2", Family::qwen2, read_qwen2, "Qwen2ForCausalLM", "Qwen2ForSequenceClassification"},
    {"qwen3", Family::qwen3, read_qwen3, "Qwen3ForCausalLM", "Qwen3ForSequenceClassification"},
    {"granite", Family::granite, read_granite, "GraniteForCausalLM", ""},
    {"smollm3", Family::smollm3, read_smollm3, "SmolLM3ForCausalLM",
     "SmolLM3ForSequenceClassification"},
    {"phi3", Family::phi3, read_phi3, "Phi3ForCausalLM", "Phi3ForSequenceClassification"},
    {"olmo2", Family::olmo2, read_olmo2, "Olmo2ForCausalLM", "Olmo2ForSequenceClassification"},
    {"olmo3", Family::olmo3, read_olmo3, "Olmo3ForCausalLM", "Olmo3ForSequenceClassification"},
    {"gemma2", Family::gemma2, read_gemma2, "Gemma2ForCausalLM", "Gemma2ForSequenceClassification"},
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
    auto const head = model::traits_of(config.head);
    if (head.of_vocabulary()) return entry.language_model;
    switch (head.rows) {
    case data::Per::sample: return entry.classifier;
    case data::Per::token: break; // no head has labels of tokens yet
    }
    return "";
}

} // namespace trireme::framework::pretrained
