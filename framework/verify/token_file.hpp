// What `trireme verify` computes on: token ids and labels of one JSON file, as Hugging Face models
// take them.
#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::verify {

/// {"input_ids": [[..], ..], "labels": [[..], ..] or [..]}. Numbers as they stand in the file,
/// checked for their form.
struct TokenFile {
    std::string path; ///< for messages
    std::vector<std::vector<std::int64_t>> ids;
    std::vector<std::vector<std::int64_t>>
        /// unshifted: label t is predicted by token t - 1; -100 ignored
        token_labels;
    /// a class each, or -100; empty: there are token labels
    std::vector<std::int64_t> sample_labels;

    model::HeadKind head() const {
        return token_labels.empty() ? model::HeadKind::classification
                                    : model::HeadKind::language_model;
    }
    std::int64_t tokens() const;
};

/// Throws InputError "PATH: field[i][t]: value: legal: ...".
TokenFile read_token_file(std::string const& path);
/// The same of a JSON value that came from `path`.
TokenFile to_token_file(std::string const& path, nlohmann::json const& json);

/// The sequences as a data set, labels shifted. Throws InputError naming an id, a label or a length
/// that the model has no room for, or when no label is trained.
std::unique_ptr<data::Dataset> make_dataset(TokenFile const& file, model::Config const& model);

} // namespace trireme::framework::verify
