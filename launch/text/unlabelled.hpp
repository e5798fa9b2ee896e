// Texts without labels, as `trireme predict` has the text program read and tokenize them.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/text/prepare.hpp"
#include "launch/text/rows.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

struct Waiting;

/// The texts of a file, and tokens of texts. Requests and answers are those of serve.hpp.
class Unlabelled {
  public:
    /// FOLDER/tokenizer.json.
    explicit Unlabelled(std::string const& folder) { o_.tokenizer = folder; }

    /// {"length": N, "task": NAME, "options": {NAME: [WORD, ...]}}: tokens at which texts are cut
    /// from now on, 0 for the usual number; the task of the model, else classification; and options
    /// of `prepare` that the task has. Answers with the length. Throws InputError.
    nlohmann::json begin(nlohmann::json const& request);
    /// {"open": FILE}. Throws InputError for what is no row.
    nlohmann::json open(nlohmann::json const& request);
    /// {"next": N}: the next texts of the file with their tokens.
    nlohmann::json next(std::int64_t most);
    /// {"encode": [text, ...]}: the same of these.
    nlohmann::json encode(std::vector<std::string> const& texts);

  private:
    nlohmann::json encoded(std::vector<Row>&& rows);
    void add_samples(std::vector<Waiting> const& rows, nlohmann::json& answer);

    PrepareOptions o_;
    std::string file_; ///< that rows refer to
    std::vector<Row> rows_;
    std::size_t given_ = 0; ///< rows that were handed out
    std::unique_ptr<Tokenizer> tokenizer_;
};

} // namespace trireme::launch::text
