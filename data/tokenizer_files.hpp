// The files of a tokenizer in a Hugging Face folder, and whether two folders hold the same one.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace trireme::data {

/// Copies every file of a tokenizer that `from` has and `to` lacks: vocabularies, merges,
/// templates, special tokens, the settings of generation. Throws JobError, and InputError for one
/// that is no file, or larger than any text that is read as a whole.
void copy_tokenizer_files(std::string const& from, std::string const& to);

/// A special token as tokenizer_config.json spells it, "<s>" or {"content": "<s>", ...}; empty if
/// it is null. Throws InputError "WHERE: VALUE: legal: ..." for what names no token.
std::string token_text(nlohmann::json const& token, std::string const& where);

/// The id of the padding token of the tokenizer in `folder`, which tokenizer_config.json names,
/// else special_tokens_map.json, else tokenizer.json under "padding", in transformers' order; -1 if
/// none does, or if tokenizer.json does not know it. Throws InputError for a file that is not JSON,
/// or a padding token that is no text.
std::int64_t pad_token_of(std::string const& folder);

/// The id of the mask token of the tokenizer in `folder`, which tokenizer_config.json names, else
/// special_tokens_map.json; -1 as pad_token_of.
std::int64_t mask_token_of(std::string const& folder);

/// Throws InputError, with what differs, unless the data in `data`, whose manifest holds `recorded`
/// as the hash of its tokenizer.json, were prepared with the tokenizer of the model in `model`.
/// Padding and truncation may differ, since they change no token; so may `added`, the tokens that
/// `prepare` added to the model's. A folder without tokenizer.json, and data whose manifest names
/// none, are not compared.
void check_same_tokenizer(std::string const& data, std::string const& recorded,
                          std::string const& model, std::vector<std::string> const& added = {});

} // namespace trireme::data
