// `trireme-text serve`: a tokenizer for a process that has no Python in it.
#pragma once
#include <iosfwd>
#include <string>

namespace trireme::launch::text {

/// Answers each line of `in` with one on `out`, both JSON objects, until `in` ends. First says
/// {"vocabulary"}. Requests and their answers:
///   {"prompts": [text, ...]}                    {"prompts": [[id, ...], ...]}
///   {"prompts": [...], "completions": [...]}    {"prompts": ..., "completions": [[id, ...], ...],
///                                                "apart": count}
///   {"decode": [[id, ...], ...]}                {"texts": [text, ...]}
///   {"length": N}                               {"length": N}: where the next ones cut texts; 0:
///   512
///   {"open": FILE, "text": NAME, "pair": NAME}  {"rows": count}
///   {"next": N}                                 {"texts", "pairs", "sources", "tokens",
///   "segments",
///                                                "cut"}: a list of each, empty after the last row
///   {"encode": [text, ...]}                     the same without "sources"
///   {"score": [[completion, reference], ...]}   {"scores": [{"exact_match", "f1"}, ...]}
/// Bad input gets {"refused": line}; another request that cannot be answered {"error": why}; a
/// folder without a tokenizer gets it in place of the greeting, and that is all.
void serve(std::string const& folder, std::istream& in, std::ostream& out);

} // namespace trireme::launch::text
