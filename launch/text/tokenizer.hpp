// Hugging Face's tokenizers library, embedded. Needs a running Python interpreter.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::launch::text {

struct Encoding {
    std::vector<std::int32_t> tokens, segments;
    bool cut = false; ///< longer than the maximum
    /// special tokens that the text itself has, those dropped as `doubled` left out
    int written = 0;
    /// the text begins or ends with the special tokens that the template adds: they stand once
    bool doubled = false;
};

/// Tokens of a prompt and of what follows it.
struct PromptedText {
    std::vector<std::int32_t> prompt, completion;
    /// a token of the joined text would have crossed the boundary: the two were cut apart
    bool apart = false;
    int written = 0; ///< special tokens that the texts themselves have
    /// the prompt begins with the special tokens that the template adds: they stand once
    bool doubled = false;
};

/// A part of a text, or of a second text behind the whole first one, with the special tokens that
/// the tokenizer's template puts around it.
struct Window {
    std::vector<std::int32_t> tokens, segments;
    /// which text a token is of, 0 or 1: -1 at tokens of the template; and its word there: -1 at
    /// special tokens
    std::vector<std::int32_t> texts, words;
    /// characters of that text, from the first to the one after the last
    std::vector<std::pair<std::int64_t, std::int64_t>> places;
};
struct WindowedText {
    std::vector<Window> windows; ///< one or more, in order
    int written = 0;             ///< special tokens that the text itself has
};

/// Tokens of words that are divided already, without those of the template.
struct DividedWords {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> words; ///< by token: a place in the words
    int written = 0;                 ///< special tokens that the words themselves have
};

/// Tokens that stand for words which the tokenizer does not know, over all texts encoded so far.
struct UnknownTokens {
    std::int64_t tokens = 0, unknown = 0;
    std::map<std::string, std::int64_t> words; ///< words that they stood for, of the first thousand
    std::string name;                          ///< the token itself
};

class Tokenizer {
  public:
    /// FOLDER/tokenizer.json. `max_length` 0: never cut; else the end of a longer text is, or its
    /// beginning. The file's own padding and truncation are switched off. Throws InputError; so
    /// does whatever encodes, for a text that the library refuses. `added`: special tokens that the
    /// file lacks and this tokenizer has behind its own.
    Tokenizer(std::string const& folder, std::int64_t max_length, bool cut_in_front = false,
              std::vector<std::string> const& added = {});
    ~Tokenizer();

    /// Special tokens included; `pairs` is empty or as long as `texts`. Uses all cores.
    std::vector<Encoding> encode(std::vector<std::string> const& texts,
                                 std::vector<std::string> const& pairs) const;
    /// Makes the tokens that a model is given to go on from: special tokens in front as the
    /// tokenizer's template has them, none at the end, where they would say that the text is over.
    std::vector<std::vector<std::int32_t>>
    encode_prompts(std::vector<std::string> const& prompts) const;
    /// [Note: boundary of prompt and completion] The prompt's tokens are those of encode_prompts,
    /// which knows no completion: so generation meets exactly the prompts of training. The
    /// completion's tokens are the rest of the tokens of the joined text, as a model knows them
    /// from plain text. Where these do not begin with the prompt's (a merge across the boundary),
    /// the completion is cut apart from it, and `apart` says so.
    std::vector<PromptedText> encode_prompted(std::vector<std::string> const& prompts,
                                              std::vector<std::string> const& completions) const;
    /// Windows of at most `longest` tokens, `stride` of which the window before has too. Of pairs
    /// the second text is divided and the first is in each window; it must leave room for more than
    /// `stride` tokens.
    std::vector<WindowedText> encode_windows(std::vector<std::string> const& texts,
                                             std::vector<std::string> const& pairs,
                                             std::int64_t longest, std::int64_t stride) const;
    /// Each word has a space before it where a text would have one, as transformers has it with
    /// add_prefix_space.
    std::vector<DividedWords>
    encode_words(std::vector<std::vector<std::string>> const& texts) const;
    /// Special tokens in front of a text, and behind it.
    std::vector<std::int32_t> const& leading() const;
    std::vector<std::int32_t> const& trailing() const;
    std::int64_t added_to_pairs() const; ///< special tokens around two texts
    /// Tokens of a text as a template for chats made it, and the characters that each stands for:
    /// special tokens that are written in the text are such, and none is added.
    struct Plain {
        std::vector<std::int32_t> tokens;
        std::vector<std::pair<std::size_t, std::size_t>> places;
        int written = 0;
    };
    std::vector<Plain> encode_rendered(std::vector<std::string> const& texts) const {
        return encode_plain(texts, true);
    }
    std::vector<std::string> special_tokens() const;
    /// Text of tokens, special ones left out.
    std::vector<std::string> decode(std::vector<std::vector<std::int32_t>> const& tokens) const;
    std::int64_t vocabulary() const; ///< the largest id and 1
    std::string token(std::int32_t id) const;
    std::optional<std::int32_t> id(std::string const& token) const;
    UnknownTokens const& unknown() const; ///< unknown tokens that encode and encode_prompted met

  private:
    /// Adds no special token.
    std::vector<Plain> encode_plain(std::vector<std::string> const& texts,
                                    bool count_unknown) const;
    void open(std::string const& file, std::string const& text);
    void add_tokens(std::string const& file, std::string& text,
                    std::vector<std::string> const& added);
    void find_unknown(nlohmann::json const& file);
    void count_unknown(void const* encoding, std::vector<std::int32_t> const& ids,
                       std::vector<std::string const*> const& texts) const;
    void count_unknown_words(DividedWords const& made, std::vector<std::string> const& words) const;
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::launch::text
