// Keeps the text of `trireme help generate` apart, as the command itself is long enough.
#pragma once

namespace trireme::launch {

inline constexpr char const* kGenerateHelp =
    "trireme generate MODEL: completions of prompts, greedy unless a temperature is given\n\n"
    "  trireme generate exported --prompt 'Question: why is the sky blue? Answer:'\n"
    "  mpirun -n 2 trireme generate exported --prompts test.jsonl --output completions.jsonl\n"
    "  trireme generate exported --prompts test.jsonl --temperature 0.7 --top-p 0.9 --seed "
    "3\n"
    "  trireme generate exported --chat\n\n"
    "With a column of references (--completion-column) it scores: exact match, SQuAD's "
    "normalized exact match and\n"
    "F1, ROUGE-L, perplexity of the references. With the same --threads the result has the same "
    "bytes "
    "for any number of\n"
    "ranks; else log-probabilities differ by rounding.\n\nOptions";

} // namespace trireme::launch
