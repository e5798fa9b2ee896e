// Scores of the completions that a run makes while it trains, by the tokenizer's process.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "framework/evaluation/completions.hpp"
#include "launch/text_service.hpp"

namespace trireme::launch {

/// Starts the tokenizer of the data folder on rank 0 if the configuration asks for completions
/// (evaluation.generate). Call before MPI_Init; a mistake in the configuration is left to those who
/// read it with all ranks.
void start_scorer(std::optional<TextService>& service, std::string const& file,
                  std::vector<std::string> const& set);

/// Returns what scores completions as `trireme generate` does. `service`: null on ranks that have
/// none; it must outlive the result. Throws InputError if the folder has no tokenizer.
framework::evaluation::CompletionScorer completion_scorer(TextService* service);

} // namespace trireme::launch
