#include "launch/completion_scorer.hpp"

#include "cluster/error.hpp"
#include "launch/explain.hpp"
#include "launch/generation_summary.hpp"
#include "launch/launcher.hpp"

namespace trireme::launch {

using framework::evaluation::CompletedPrompt;
using framework::evaluation::ScoredCompletion;

void start_scorer(std::optional<TextService>& service, std::string const& file,
                  std::vector<std::string> const& set) {
    if (launcher_rank() > 0) return;
    try {
        auto const config =
            framework::config::read_config_with_origins(file, environment_assignments(), set)
                .config;
        if (config.evaluation.generate > 0) service.emplace(config.data.path);
    } catch (cluster::InputError const&) {
        // It is told when all ranks read the file.
    }
}

static std::vector<ScoredCompletion> score_completions(TextService& service,
                                                       std::vector<CompletedPrompt> const& made) {
    nlohmann::json tokens = nlohmann::json::array(), pairs = nlohmann::json::array();
    for (auto const& one : made)
        for (auto const* part : {&one.prompt, &one.completion, &one.reference})
            tokens.push_back(*part);
    nlohmann::json const texts = service.ask({{"decode", tokens}})["texts"];
    std::vector<ScoredCompletion> scored;
    for (std::size_t i = 0; i < made.size(); ++i) {
        scored.push_back({texts[3 * i], texts[3 * i + 1], texts[3 * i + 2], {}});
        pairs.push_back({scored[i].completion, scored[i].reference});
    }
    nlohmann::json const scores = service.ask({{"score", pairs}})["scores"];
    for (std::size_t i = 0; i < made.size(); ++i)
        scored[i].scores = {.exact_match = static_cast<double>(same_but_for_blanks_around(
                                scored[i].completion, scored[i].reference)),
                            .rouge_l = scores[i]["rouge_l"]};
    return scored;
}

framework::evaluation::CompletionScorer completion_scorer(TextService* service) {
    if (!service) return {};
    service->hello();
    return [service](std::vector<CompletedPrompt> const& made) {
        return score_completions(*service, made);
    };
}

} // namespace trireme::launch
