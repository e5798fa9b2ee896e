// `trireme-text serve`: a tokenizer for a process that has no Python in it.
#pragma once
#include <iosfwd>
#include <string>

namespace trireme::launch::text {

/// Answers each line of `in` with one on `out`, both JSON objects, until `in` ends. First says
/// {"vocabulary"}. Requests and their answers:
///   {"prompts": [text, ...]}                    {"prompts": [[id, ...], ...]}
///   {"prompts": [...], "completions": [...]}    {"prompts": ..., "completions": [[id, ...], ...],
///                                                "apart": [place, ...]}
///   {"decode": [[id, ...], ...]}                {"texts": [text, ...]}
///   {"length": N, "task": NAME, "options": {}}  {"length": N}, at which texts are cut; 0: usual;
///                                                options of `prepare`, lists of words by name
///   {"open": FILE}                              {"rows": count}
///   {"next": N}                                 {"texts", "pairs", "sources", "windows", "words",
///                                                "places", "cut"}: lists, empty at the end; by
///                                                text, windows are [{"tokens", "segments",
///                                                "labels"}, ...], none where there is no token,
///                                                and words all of those whose classes are asked,
///                                                places those of them that the windows have
///   {"encode": [text, ...]}                     the same of these
///   {"pieces": [text, ...], ...}                tokens with the pieces that they stand for
///                                                (pieces.hpp)
///   {"chat_template": NAME}                     {"stops": [id, ...]}, which end a turn of the
///                                                assistant; NAME: as prepare's --chat-template,
///                                                "": the folder's own
///   {"chat": {"messages": [...], "tools": [...]}} {"rendered": text, "tokens": [id, ...]}, up to
///                                                the next turn of the assistant
///   {"score": [[completion, reference], ...]}   {"scores": [{"exact_match", "f1", "rouge_l"},
///                                                ...]}
///   {"few_shot": DATA, ...}, {"choices": FILE, ...}  questions as samples (choices.hpp)
/// Bad input gets {"refused": line}; another request that cannot be answered {"error": why}; a
/// folder without a tokenizer gets it in place of the greeting, and that is all.
void serve(std::string const& folder, std::istream& in, std::ostream& out);

} // namespace trireme::launch::text
