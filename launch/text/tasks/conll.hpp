// Files of words and tags, a word a line, as CoNLL's shared tasks have them.
#pragma once
#include <functional>
#include <string>

#include "launch/text/rows.hpp"

namespace trireme::launch::text {

/// Does the name end in .conll, .iob2, .iob or .bio?
bool is_conll(std::string const& file);

/// Calls `each` for every sentence, which ends at an empty line: `structured` has its words and its
/// tags, which are the first and the last of the columns that blanks divide; `line` is that of its
/// first word, whose others follow line by line. Lines of -DOCSTART- and comments before a sentence
/// ("# id ...") are passed over. Throws InputError "FILE:LINE: what".
void read_conll(std::string const& file, std::function<void(Row&&)> const& each);

} // namespace trireme::launch::text
