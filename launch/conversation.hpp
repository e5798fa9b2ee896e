// `trireme generate --chat`: a conversation with a model, line by line.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trireme::launch {

class TextService;

/// Chooses the template of the conversation to come: `asked` is a file, the name of one of the
/// folder's, or one that is built in; empty: the folder's own. Returns the tokens by which it ends
/// a turn of the assistant; none if it does not show them. Throws InputError for a folder without a
/// template, and for a template that cannot be rendered.
std::vector<std::int32_t> open_template(TextService& service, std::string const& asked);

/// A turn of the assistant.
struct Answer {
    std::vector<std::int32_t> tokens;
    std::string ended_by; ///< name of the ending
};

/// Makes the turn that follows `prompt`, and tells each token as it is chosen. Throws InputError
/// for a prompt that the model cannot go on from.
using Answerer = std::function<Answer(std::vector<std::int32_t> const& prompt,
                                      std::function<void(std::int32_t)> const& each)>;

/// Reads turns of the user from standard input, one a line, and writes those of the assistant to
/// standard output, with `stream` while they are made; the whole conversation so far goes through
/// the template each time. A line that begins with / is a command: /system TEXT, /reset, /help,
/// /quit. Ends with the input. Where the input is a terminal a turn that is refused is told there
/// and leaves the conversation as it was; else throws InputError with the line's number.
void converse(TextService& service, bool stream, Answerer const& answer);

} // namespace trireme::launch
