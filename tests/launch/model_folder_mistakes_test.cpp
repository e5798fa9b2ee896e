// Mistakes in the other files of a Hugging Face folder: config.json and tokenizer.json.
#include <filesystem>

#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Header = nlohmann::ordered_json;

std::string const kConfig = "llama/config.json";

std::vector<Mistake> const kConfigs{
    {"NoFolder",
     train({"model.path=DIR/nowhere"}),
     "DIR/nowhere/config.json: cannot be read: No such file or directory",
     {}},
    {"Missing", train(), "DIR/llama/config.json: cannot be read: No such file or directory",
     remove(kConfig)},
    {"NotJson", train(),
     "DIR/llama/config.json:2:8: not JSON: syntax error while parsing object key - invalid string: "
     "control character "
     "U+000A (LF) must be escaped to \\u000A or \\n; last read: '\"oops}<U+000A>'; expected string "
     "literal",
     write(kConfig, "{\"hidden_size\": 24,\n \"oops}\n")},
    {"NotAnObject", train(), "DIR/llama/config.json: legal: a JSON object of fields",
     write(kConfig, "[]")},
    {"DeepNesting", train(),
     "DIR/llama/config.json: nested deeper than the 64 levels that are legal",
     write(kConfig, std::string(100'000, '['))},
    {"UnknownArchitecture", train(),
     "DIR/llama/config.json: model_type: \"lama\": legal: bert, roberta, xlm-roberta, camembert, "
     "distilbert, eurobert, modernbert, gpt2, gpt_neox, llama, mistral, ministral, qwen2, qwen3, "
     "apertus, granite, smollm3, phi3, olmo2, olmo3, gemma2, gemma3_text",
     change(kConfig, "\"llama\"", "\"lama\"")},
    {"UnknownField", train(),
     "DIR/llama/config.json: head_dims: 8: a field this version does not know, so the model might "
     "be computed wrongly",
     change(kConfig, "\"head_dim\"", "\"head_dims\"")},
    {"WrongType", train(), "DIR/llama/config.json: hidden_size: \"24\": legal: a whole number",
     change(kConfig, "\"hidden_size\": 24", "\"hidden_size\": \"24\"")},
    {"NegativeSize", train(), "DIR/llama/config.json: hidden_size: -24: legal: a whole number > 0",
     change(kConfig, "\"hidden_size\": 24", "\"hidden_size\": -24")},
    {"FieldMissing", train(), "DIR/llama/config.json: hidden_size: missing; legal: a whole number",
     change(kConfig, "\"hidden_size\": 24,", "")},
    {"EndlessLayers", train(),
     "DIR/llama/config.json: num_hidden_layers: 20000: legal: at most 10000",
     change(kConfig, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 20000")},
    {"HeadsDoNotDivide", train(),
     "DIR/llama/config.json: num_key_value_heads: 2: legal: a divisor of num_attention_heads",
     change(kConfig, "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2")},
    {"HeadsDoNotDivideHidden",
     train({"task=classification", "data.path=DIR/classes", "model.path=DIR/bert"}),
     "DIR/bert/config.json: num_attention_heads: 5: legal: a divisor of hidden_size",
     change("bert/config.json", "\"num_attention_heads\": 3", "\"num_attention_heads\": 5")},
    {"RopeOfAnotherKind", train(),
     "DIR/llama/config.json: rope_parameters.rope_type: \"dynamic\": legal: default, linear, "
     "llama3, "
     "yarn",

     change(kConfig, "\"rope_type\": \"default\"", "\"rope_type\": \"dynamic\"")},
    {"AdapterBesideTheModel", train(),
     "DIR/llama/adapter_config.json: the folder holds an adapter (LoRA or its like), whose weights "
     "would not be read; "
     "legal: the whole model, merged where PEFT is: python -c 'from peft import "
     "AutoPeftModelForCausalLM as M; "
     "M.from_pretrained(\"DIR/llama\").merge_and_unload().save_pretrained(\"FOLDER\")'",
     write("llama/adapter_config.json", "{}")},
    {"StopTokenBeyondTheVocabulary",
     {"generate", "DIR/llama", "--prompt", "film"},
     "DIR/llama: eos_token_id: 97: legal: 0 to 96, the model's vocabulary",
     write("llama/generation_config.json", "{\"eos_token_id\": [1, 97]}")},
    {"DeepPrompts",
     {"generate", "DIR/llama", "--prompts", "DIR/deep.jsonl"},
     "DIR/deep.jsonl:1: nested deeper than the 64 levels that are legal",
     write("deep.jsonl",
           "{\"prompt\": " + std::string(200'000, '[') + std::string(200'000, ']') + "}\n")},
    {"PromptGivenTwice",
     {"generate", "DIR/llama", "--prompts", "DIR/twice.jsonl"},
     "DIR/twice.jsonl:2: key \"prompt\" is given twice in one object; legal: once",
     write("twice.jsonl", "{\"prompt\": \"film\"}\n{\"prompt\": \"good\", \"prompt\": \"bad\"}\n")},
    {"ReferencesThatNoRowHas",
     {"generate", "DIR/llama", "--prompts", "DIR/rows.jsonl", "--prompt-column", "text",
      "--completion-column", "labl"},
     "DIR/rows.jsonl: --completion-column: labl: no row has it; legal: a field of the rows",
     {}},
};
INSTANTIATE_TEST_SUITE_P(ConfigJson, Mistakes, testing::ValuesIn(kConfigs), name_of);

std::vector<Mistake> const kTokenizers{
    {"Missing", prepare("rows.jsonl"),
     "DIR/bert/tokenizer.json: missing; legal: a folder with the tokenizer.json of a fast "
     "tokenizer, as transformers writes it: python -c 'from transformers import AutoTokenizer as "
     "T; "
     "T.from_pretrained(\"DIR/bert\").save_pretrained(\"DIR/bert\")'",
     remove("bert/tokenizer.json")},
    {"NotJson", prepare("rows.jsonl"),
     "DIR/bert/tokenizer.json: not a tokenizer: EOF while parsing an object at line 1 column 1; "
     "legal: the "
     "tokenizer.json of a fast tokenizer",
     write("bert/tokenizer.json", "{")},
    {"NotATokenizer", prepare("rows.jsonl"),
     "DIR/bert/tokenizer.json: not a tokenizer: Model missing. at line 1 column 18; legal: the "
     "tokenizer.json of a "
     "fast tokenizer",
     write("bert/tokenizer.json", "{\"version\": \"1.0\"}")},
    {"LargerThanTheModelBesideIt", prepare("rows.jsonl"),
     "DIR/bert/tokenizer.json: 20 tokens: legal: at most 7, the vocab_size of the config.json "
     "beside it",
     change("bert/config.json", "\"vocab_size\": 97", "\"vocab_size\": 7")},
    {"LargerThanTheTrainedModel", train(),
     "DIR/data: its tokenizer has 98 tokens, DIR/llama has room for 97; prepare the data with the "
     "model's own "
     "tokenizer",
     change("data/manifest.json", "\"vocabulary\": 97", "\"vocabulary\": 98")},
};
INSTANTIATE_TEST_SUITE_P(Tokenizer, Mistakes, testing::ValuesIn(kTokenizers), name_of);

} // namespace
} // namespace trireme::test
