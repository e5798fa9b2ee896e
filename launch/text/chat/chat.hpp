// Conversations rendered by a model's own template. Needs a running Python interpreter.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace trireme::launch::text {

/// Places of characters in a rendered text.
struct TrainedSpan {
    std::size_t first = 0, end = 0;
    std::string stop;  ///< the token at its end; empty: it has none
    double weight = 1; ///< in the loss, above 0
};

struct RenderedSample {
    std::string text;
    std::vector<TrainedSpan> trained; ///< in order
};

/// A conversation as texts for samples.
struct RenderedConversation {
    std::string rule; ///< by which the trained spans were found, for people
    int written = 0;  ///< texts of the conversation in which special tokens are written
    std::vector<RenderedSample> samples;
};

/// Everything throws InputError, in one line, for what the template or the conversation is not.
class Chat {
  public:
    /// Templates of `folder`, or `asked`: a file, the name of one of the folder's, or one that is
    /// built in; empty: the folder's. `specials`: texts of the tokenizer's special tokens.
    Chat(std::string const& folder, std::string const& asked,
         std::vector<std::string> const& specials);
    ~Chat();

    /// The text of a template that was asked for; empty: the folder's own.
    std::string asked_template() const;
    /// Takes `form`, or finds it by the columns of the first row: messages, sharegpt or alpaca.
    std::string choose_form(std::string const& form, nlohmann::ordered_json const& row);
    /// `row`: {"name", "turns", "tools", "system", "instruction", "input", "output"}, null: absent.
    RenderedConversation render(nlohmann::ordered_json const& row) const;
    /// {"messages": [...], "tools": [...]} as a text up to the next turn of the assistant.
    std::string prompt(nlohmann::json const& conversation) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::launch::text
