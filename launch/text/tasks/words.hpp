// Sentences as words, whether they have tags or not.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/text/tasks/task.hpp"

namespace trireme::launch::text {

/// Throws InputError unless the value is a list of texts. `column`: its name.
void check_words(nlohmann::ordered_json const& value, Row const& row, std::string const& column);
/// Returns the tokens of a sentence that --max-length leaves room for. Throws InputError for none.
std::int64_t room_of_words(PrepareOptions const& o, Tokenizer const& tokenizer);

/// Calls `each` for every row of `file`, whose words stand in `structured` and, with blanks between
/// them, in `text`: those of a list, or those that blanks divide a text into. Throws InputError
/// "FILE:LINE: what".
void read_words(std::string const& file, PrepareOptions const& o,
                std::function<void(Row&&)> const& each);
/// Divides the words of such rows, or of texts alone, into samples. Their parts do not depend on
/// tags, which nobody knows: other than those of `prepare` they may end within an entity.
std::vector<UnlabelledText> unlabelled_words(std::vector<Waiting> const& rows,
                                             PrepareOptions const& o, Tokenizer const& tokenizer);

} // namespace trireme::launch::text
