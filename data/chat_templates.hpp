// Templates that make one text of a chat. They stand in up to three places of a Hugging Face
// folder, one of which transformers reads.
#pragma once
#include <string>
#include <vector>

namespace trireme::data {

/// Throws InputError naming both places unless each template is the same wherever one of the
/// folders has it: in tokenizer_config.json, chat_template.jinja, chat_template.json and, by its
/// name, in additional_chat_templates. A last line end does not count, as jinja drops it.
void check_chat_templates(std::vector<std::string> const& folders);

} // namespace trireme::data
