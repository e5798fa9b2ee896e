// The file of prompts that `trireme generate` completes.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace trireme::launch {

/// the field that is scored if a row has it
inline constexpr char const* kCompletionColumn = "completion";

/// Prompts and what the file says about each, as text.
struct PromptTexts {
    std::vector<std::string> prompts;
    std::vector<std::optional<std::string>>
        references;                 ///< of each prompt; "" is one too: nothing is to be said
    std::vector<std::string> names; ///< FILE:LINE
};

/// A JSON object per line, of which two fields are read. Throws InputError naming the line.
PromptTexts read_prompts(std::string const& file, std::string const& prompt_column,
                         std::string const& completion_column);

} // namespace trireme::launch
