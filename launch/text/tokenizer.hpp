// Hugging Face's tokenizers library, embedded. Needs a running Python interpreter.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::launch::text {

struct Encoding {
    std::vector<std::int32_t> tokens, segments;
    bool cut = false; ///< longer than the maximum
};

/// Tokens of a prompt and of what follows it.
struct PromptedText {
    std::vector<std::int32_t> prompt, completion;
    bool apart = false; ///< a token of the joined text would have crossed the boundary: the two were cut apart
};

class Tokenizer {
  public:
    /// FOLDER/tokenizer.json. `max_length` 0: never cut. What the file itself says of padding and truncation is
    /// switched off. Throws InputError.
    Tokenizer(std::string const& folder, std::int64_t max_length);
    ~Tokenizer();

    /// Special tokens included; `pairs` is empty or as long as `texts`. Uses all cores.
    std::vector<Encoding> encode(std::vector<std::string> const& texts, std::vector<std::string> const& pairs) const;
    /// What a model is given to go on from: special tokens in front as the tokenizer's template has them, none at the
    /// end, where they would say that the text is over.
    std::vector<std::vector<std::int32_t>> encode_prompts(std::vector<std::string> const& prompts) const;
    /// [Note: boundary of prompt and completion] The prompt's tokens are those of encode_prompts, which knows no
    /// completion: so generation meets exactly the prompts of training. The completion's tokens are the rest of the
    /// tokens of the joined text, as a model knows them from plain text. Where these do not begin with the prompt's (a
    /// merge across the boundary), the completion is cut apart from it, and `apart` says so.
    std::vector<PromptedText> encode_prompted(std::vector<std::string> const& prompts,
                                              std::vector<std::string> const& completions) const;
    /// Text of tokens, special ones left out.
    std::vector<std::string> decode(std::vector<std::vector<std::int32_t>> const& tokens) const;
    std::int64_t vocabulary() const; ///< the largest id and 1
    std::string token(std::int32_t id) const;
    std::optional<std::int32_t> id(std::string const& token) const;
    /// Of tokenizer_config.json, else special_tokens_map.json, else generation_config.json, else config.json; -1 if
    /// none of them names one that the tokenizer knows.
    std::int32_t end_of_text() const;

  private:
    /// Without special tokens; where in the text each token lies.
    struct Plain {
        std::vector<std::int32_t> tokens;
        std::vector<std::pair<std::size_t, std::size_t>> places;
    };
    std::vector<Plain> encode_plain(std::vector<std::string> const& texts) const;
    struct State;
    std::unique_ptr<State> state_;
};

/// Text in lower case by Unicode's rules.
std::string lower(std::string const& text);

} // namespace trireme::launch::text
