// Text that is shown while it is made.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace trireme::launch {

/// Decoded tokens grow by bytes, text by characters: decoding shows a character that is not
/// complete yet as U+FFFD.
class StreamedText {
  public:
    /// `text`: all tokens so far, decoded. Returns what to print now: never a part of a character,
    /// and nothing while the text goes back on what was printed (a decoder that joins words may).
    std::string next(std::string_view text) {
        while (text.ends_with(kIncomplete)) text.remove_suffix(kIncomplete.size());
        return go_on(text);
    }
    /// The rest; what is incomplete now will not be completed.
    std::string last(std::string_view text) {
        if (!text.starts_with(printed_)) return fmt::format("\n{}", text);
        return go_on(text);
    }

  private:
    static constexpr std::string_view kIncomplete = "\xEF\xBF\xBD";
    std::string go_on(std::string_view text) {
        if (!text.starts_with(printed_)) return {};
        std::string fresh(text.substr(printed_.size()));
        printed_ += fresh;
        return fresh;
    }
    std::string printed_;
};

} // namespace trireme::launch
