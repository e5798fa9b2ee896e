// Special tokens that a tokenizer's template puts around a text.
#pragma once
#include <cstdint>
#include <vector>

#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

using Ids = std::vector<std::int32_t>;

struct TemplateTokens {
    Ids leading, trailing;

    /// A text that was written with the template's own special tokens would have them twice: drops
    /// its own, and notes it in `doubled` and `written`.
    void keep_once(Encoding& e) const;
    /// Puts the leading tokens in front of a prompt, once; true if the prompt had them itself.
    bool put_leading(Ids& prompt) const;
};

} // namespace trireme::launch::text
