// Hugging Face's tokenizers library, embedded. Needs a running Python interpreter.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::launch::text {

struct Encoding {
    std::vector<std::int32_t> tokens, segments;
    bool cut = false; ///< longer than the maximum
};

class Tokenizer {
  public:
    /// FOLDER/tokenizer.json. `max_length` 0: never cut. What the file itself says of padding and truncation is
    /// switched off. Throws InputError.
    Tokenizer(std::string const& folder, std::int64_t max_length);
    ~Tokenizer();

    /// Special tokens included; `pairs` is empty or as long as `texts`. Uses all cores.
    std::vector<Encoding> encode(std::vector<std::string> const& texts, std::vector<std::string> const& pairs) const;
    std::int64_t vocabulary() const; ///< the largest id and 1
    std::string token(std::int32_t id) const;
    /// Of tokenizer_config.json; -1 if it names none.
    std::int32_t end_of_text() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Text in lower case by Unicode's rules.
std::string lower(std::string const& text);

} // namespace trireme::launch::text
