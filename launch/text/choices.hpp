// Questions whose answers are ranked by the likelihood that a language model gives them: the
// template of prompts, and questions as samples whose trained tokens are those of one choice.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// A question, as the text before and behind the place of its choice.
struct ChoiceQuestion {
    std::string before, after;
    std::vector<std::string> choices; ///< two or more, none empty
    std::size_t right = 0;            ///< a place in them
    std::string source;               ///< for messages
};

/// Reads choices as a model does: a decoder what follows a text, an encoder what is masked in it.
struct ChoiceReader {
    Tokenizer const& tokenizer;
    std::string folder;           ///< of the model, for messages
    std::int64_t room = 0;        ///< tokens that a sample may have
    bool masked = false;          ///< of an encoder
    std::int32_t mask_token = -1; ///< read if `masked`
};

/// The samples of one question, one for each choice, as {"tokens", "labels"}; labels are -100 but
/// for the choice. A decoder's choice is what follows the context in the tokens of both together,
/// with the blanks at the context's end before it (lm-evaluation-harness, api/model.py,
/// _encode_pair); the last token is a label only. An encoder's choice is hidden token by token.
/// Throws InputError for a choice without tokens.
std::vector<nlohmann::json> samples_of(ChoiceQuestion const& question, ChoiceReader const& reader);

/// The number of tokens of the longest sample.
std::int64_t longest_of(std::vector<nlohmann::json> const& samples);

/// Holds a file of {"template": TEXT, "labels": {NAME: WORD}, "separator": TEXT}.
struct PromptTemplate {
    std::string before, after;                ///< text around the place of the choice
    std::map<std::string, std::string> words; ///< for names of labels; absent: the name itself
    std::string separator = "\n\n";           ///< between shots
};
/// `place`: of the choice, "{label}", which stands once in the text; `needed`: what stands there
/// too; `allowed`: what may. Throws InputError naming file and field.
PromptTemplate read_template(std::string const& file, std::string const& place,
                             std::string const& needed,
                             std::vector<std::string> const& allowed = {});

/// Puts values in the places of "{name}", once each as they stand in the text.
std::string filled(std::string const& text, std::map<std::string, std::string> const& values);

/// Answers {"choices": FILE, "template": FILE or "", "masked", "room"}: a question for each row of
/// question, choices (a list of texts, or ARC's {"text", "label"}) and answer (a choice's place
/// from 0, its letter or label, or its text). Throws InputError "FILE:LINE: what".
nlohmann::json multiple_choice(nlohmann::json const& request, std::string const& folder,
                               Tokenizer const& tokenizer);

/// Answers {"few_shot": DATA, "split", "template": FILE, "shots", "seed", "masked", "room"}: each
/// sample of the split as a question behind the same shots of the split "train". Throws InputError.
nlohmann::json few_shot(nlohmann::json const& request, std::string const& folder,
                        Tokenizer const& tokenizer);

/// Answers {"sentence_pairs": FILE, "masked", "room"}: each row of `more` and `less`, two sentences
/// of a minimal pair, as a question of two choices. A decoder's score is that of all tokens of the
/// sentence; an encoder's the pseudo-log-likelihood of the tokens that both have, each hidden by
/// itself (Nangia et al. 2020, CrowS-Pairs, equation 1), so that a choice has several samples.
/// Throws InputError "FILE:LINE: what".
nlohmann::json sentence_pairs(nlohmann::json const& request, std::string const& folder,
                              Tokenizer const& tokenizer);

/// All answer {"samples": [{"tokens", "labels"}], "questions": [{"right", "bytes": [N],
/// "samples": [N] where a choice has several, "source"}], "labels": [NAME]}, samples in the order
/// of questions and of their choices.
nlohmann::json answer_of(std::vector<ChoiceQuestion> const& questions, ChoiceReader const& reader,
                         std::vector<std::string> const& labels);
ChoiceReader reader_for(nlohmann::json const& request, std::string const& folder,
                        Tokenizer const& tokenizer);

} // namespace trireme::launch::text
