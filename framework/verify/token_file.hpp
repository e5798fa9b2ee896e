// Reads what `trireme verify` computes on: token ids and labels of one JSON file, as Hugging Face
// models take them.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::verify {

/// {"input_ids": [[..], ..], "labels": [[..], ..] or [..]}. Token ids as they stand in the file,
/// checked for their form; labels are a list or a number for each sequence, whose form depends on
/// the head.
struct TokenFile {
    std::string path; ///< for messages
    std::vector<std::vector<std::int64_t>> ids;
    nlohmann::json labels;
    bool has_lists = false; ///< each of `labels` is a list

    std::int64_t tokens() const;
};

/// Throws InputError "PATH: field[i][t]: value: legal: ...".
TokenFile read_token_file(std::string const& path);
/// Reads the same from a JSON value that came from `path`.
TokenFile to_token_file(std::string const& path, nlohmann::json const& json);

/// The sequences as a data set of the task that the model's head is for. For a language model
/// labels are unshifted: label t is predicted by token t - 1; -100, and null of numbers, are
/// ignored. Throws InputError naming an id, a label or a length
/// that the model has no room for, or when no label is trained.
std::unique_ptr<data::Dataset> make_dataset(TokenFile const& file, model::Config const& model);

} // namespace trireme::framework::verify
