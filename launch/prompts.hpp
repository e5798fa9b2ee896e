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

    /// Returns the references with "" for those that are missing.
    std::vector<std::string> references_or_empty() const {
        std::vector<std::string> all;
        for (auto const& text : references) all.push_back(text.value_or(""));
        return all;
    }
};

/// A JSON object per line, of which two fields are read. Throws InputError naming the line.
PromptTexts read_prompts(std::string const& file, std::string const& prompt_column,
                         std::string const& completion_column);

} // namespace trireme::launch
