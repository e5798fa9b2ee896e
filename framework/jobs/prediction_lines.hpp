// Lines of predictions, of samples with labels and of texts without. No torch.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "data/shard.hpp"
#include "framework/evaluation/fills.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::jobs {

/// A line of JSON for each sample of a data set, or for each question.
std::string labelled_lines(evaluation::Outcome const& outcome, data::Dataset const& set);

/// A text as a model reads it, without labels.
struct UnlabelledText {
    std::vector<data::Sample> windows; ///< one or more; a column that they lack is not known
    std::string context;               ///< that a question is asked of
    /// words that get classes, and the places among them of those that the windows have, in order
    std::vector<std::string> words;
    std::vector<std::int32_t> word_places;
};

/// Says what is predicted where scores leave a choice.
struct Choice {
    double threshold = 0.5;      ///< probability from which one of several labels is predicted
    bool always_answers = false; ///< a question has the best answer, though none scores higher
    std::int64_t words = 5;      ///< that are named for each hidden one
};

/// Throws InputError for tokens, lengths and segments that a model has not. `folder`: its own.
void check_texts(std::vector<UnlabelledText> const& texts, std::string const& folder,
                 model::Config const& model);
/// The windows of all texts as a data set.
std::unique_ptr<data::Dataset> dataset_of(std::vector<UnlabelledText> const& texts,
                                          data::TaskSchema const& task, model::Config const& model);
/// A line for each text: what the task says of its sample, or the words with their classes, or the
/// best answers. `set`: the data set of `texts`, of which `outcome` was found.
std::vector<nlohmann::ordered_json> unlabelled_lines(evaluation::Outcome const& outcome,
                                                     std::vector<UnlabelledText> const& texts,
                                                     data::Dataset const& set,
                                                     Choice const& choice);
/// A line for each text: "masks", for each hidden token in order a list of the tokens that `fills`
/// have for it, with their probabilities. `fills`: of the windows, by sample and place.
std::vector<nlohmann::ordered_json> filled_lines(std::vector<evaluation::Fill> const& fills,
                                                 std::vector<UnlabelledText> const& texts);

} // namespace trireme::framework::jobs
