// Texts of a user, block by block, as `predict` and `attribute` read them.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "launch/text_service.hpp"

namespace trireme::launch {

inline constexpr char const* kStandardInput = "-";

struct TextSource {
    std::string input;                          ///< a file, or kStandardInput
    std::map<std::string, std::string> options; ///< of `prepare` that are given, by name
    std::int64_t max_length = 0;                ///< tokens; 0: the usual number
    /// names the task by which texts are read; asked once the tokenizer has answered
    std::function<std::string()> task = {};
};

/// The texts on rank 0. Blanks alone have no tokens.
class TextBlocks {
  public:
    /// Throws InputError for a file without such rows, and for a length that is not legal. The
    /// service must outlive it, and nobody has talked to it yet.
    TextBlocks(TextSource const& source, TextService& service);

    std::int64_t length() const { return length_; } ///< tokens at which texts are cut
    /// Returns lists as the text service has them (launch/text/serve.hpp), empty at the end. Throws
    /// InputError for a line that is not UTF-8.
    nlohmann::json next();
    TextService& service() { return service_; }

  private:
    TextService& service_;
    bool from_standard_input_;
    std::int64_t length_ = 0, line_ = 0;
};

} // namespace trireme::launch
