// Completions of some prompts of the validation split at each evaluation (evaluation.generate).
#pragma once
#include <optional>
#include <vector>

#include "framework/evaluation/completions.hpp"
#include "framework/generation/completion.hpp"
#include "framework/log/append_file.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/train/run_context.hpp"

namespace trireme::framework::train {

class Completions {
  public:
    /// `run` and `model` must outlive this. Local. Throws InputError on rank 0 if completions are
    /// asked for and nothing reads them as texts.
    Completions(RunContext const& run, parallelize::ParallelModel& model,
                evaluation::CompletionScorer scorer);

    /// Completes the prompts of run.inputs greedily with the weights as they are now, and appends
    /// a line for each to RUN/completions.jsonl. Groups of prompts go round the data-parallel
    /// ranks, so that what is computed together does not depend on their number. Returns the scores
    /// in the order of the prompts, the same on every rank; none without prompts. Collective over
    /// the mesh.
    std::vector<evaluation::CompletionScores> make();

  private:
    /// Completes the groups of this copy of the model.
    std::vector<generation::Completion> own() const;
    /// Scores what was made of all prompts and keeps it as lines. On rank 0.
    std::vector<evaluation::CompletionScores>
    score(std::vector<std::vector<std::int32_t>> completions);

    RunContext const& run_;
    parallelize::ParallelModel& model_;
    evaluation::CompletionScorer scorer_;
    std::optional<log::AppendFile> lines_; ///< open from the first line on
};

} // namespace trireme::framework::train
