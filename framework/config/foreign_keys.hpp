// Other tools' names for the keys of a run: what somebody who comes from them types first.
#pragma once
#include <string>
#include <vector>

namespace trireme::framework::config {

/// Translates `word` of Hugging Face's Trainer, Megatron-LM, DeepSpeed or torchtitan into a key of
/// ours, or a sentence that begins with one; empty if none of them has that word. Leading dashes,
/// and dashes for underscores, are taken as on their command lines.
std::string our_name_for(std::string word);

/// Gives the words between an unknown key and what is legal, as cluster::suggestion does: the key
/// of the same meaning, the key of that name in another section, or the nearest of `known`, which
/// are the keys of section `prefix`.
std::string suggest_key(std::string const& prefix, std::string const& word,
                        std::vector<std::string> const& known);

} // namespace trireme::framework::config
