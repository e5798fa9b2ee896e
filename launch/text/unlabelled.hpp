// Texts without labels, as `trireme predict` has the text program read and tokenize them.
#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/text/rows.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// The texts of a file, and tokens of texts. Requests and answers are those of serve.hpp.
class Unlabelled {
  public:
    /// FOLDER/tokenizer.json.
    explicit Unlabelled(std::string folder) : folder_(std::move(folder)) {}

    /// {"length": N}: tokens at which texts are cut from now on, 0 for the usual number. Answers
    /// with it. Throws InputError.
    nlohmann::json set_length(nlohmann::json const& request);
    /// {"open": FILE, "text": NAME, "pair": NAME}. Throws InputError for what is no row.
    nlohmann::json open(nlohmann::json const& request);
    /// {"next": N}: the next texts of the file with their tokens.
    nlohmann::json next(std::int64_t most);
    /// {"encode": [text, ...]}: the same of these.
    nlohmann::json encode(std::vector<std::string> const& texts);

  private:
    nlohmann::json encoded(std::vector<std::string> const& texts,
                           std::vector<std::string> const& pairs);

    std::string folder_, file_;
    bool paired_ = false;
    std::vector<Row> rows_;
    std::size_t given_ = 0; ///< rows that were handed out
    std::unique_ptr<Tokenizer> tokenizer_;
};

} // namespace trireme::launch::text
