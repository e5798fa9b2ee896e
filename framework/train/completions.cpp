#include "framework/train/completions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/gather.hpp"
#include "cluster/gather_values.hpp"
#include "data/json.hpp"
#include "framework/generation/generator.hpp"

namespace trireme::framework::train {

Completions::Completions(RunContext const& run, parallelize::ParallelModel& model,
                         evaluation::CompletionScorer scorer)
    : run_(run), model_(model), scorer_(std::move(scorer)) {
    if (!run.inputs.prompts.prompts.empty() && run.mesh.world().rank() == 0 && !scorer_)
        throw cluster::InputError(
            fmt::format("evaluation.generate: {}: legal here: 0; `trireme train` has the tokenizer "
                        "that reads completions",
                        run.config.evaluation.generate));
}

std::vector<generation::Completion> Completions::own() const {
    auto const& [prompts, references, options] = run_.inputs.prompts;
    auto const& data = run_.mesh.data();
    generation::Generator const generator(generation::Relay(
        model_.part(), model_.config(), run_.mesh.along(parallel::Axis::pipeline)));
    std::vector<generation::Completion> mine;
    auto const step = static_cast<std::size_t>(options.batch);
    for (std::size_t group = 0; group * step < prompts.size(); ++group) {
        if (group % static_cast<std::size_t>(data.size()) != static_cast<std::size_t>(data.rank()))
            continue;
        auto const first = prompts.begin() + static_cast<std::ptrdiff_t>(group * step);
        auto const left = static_cast<std::size_t>(prompts.end() - first);
        auto const end = first + static_cast<std::ptrdiff_t>(std::min(step, left));
        std::ranges::move(generator.complete({first, end}, options), std::back_inserter(mine));
    }
    return mine;
}

std::vector<evaluation::CompletionScores> Completions::make() {
    auto const& asked = run_.inputs.prompts;
    if (asked.prompts.empty()) return {};
    cluster::enter_phase("completions");
    auto mine = nlohmann::json::array();
    {
        parallelize::WholeWeights const held(model_);
        for (auto const& made : own()) mine.push_back({made.index, made.tokens});
    }
    std::vector<std::vector<std::int32_t>> all(asked.prompts.size());
    for (auto const& part :
         cluster::all_gather_bytes(run_.mesh.data(), mine.dump(), "evaluation/completions"))
        for (auto const& made : data::parse_json("evaluation/completions", part))
            all.at(made[0].get<std::size_t>()) = made[1].get<std::vector<std::int32_t>>();
    auto& world = run_.mesh.world();
    return cluster::broadcast_values(
        world,
        world.rank() == 0 ? score(std::move(all)) : std::vector<evaluation::CompletionScores>{}, 0,
        "evaluation/scores");
}

std::vector<evaluation::CompletionScores>
Completions::score(std::vector<std::vector<std::int32_t>> completions) {
    auto const& asked = run_.inputs.prompts;
    std::vector<evaluation::CompletedPrompt> made;
    for (std::size_t i = 0; i < completions.size(); ++i)
        made.push_back({asked.prompts[i].tokens, std::move(completions[i]), asked.references[i]});
    if (!lines_) lines_.emplace(run_.config.run + "/completions.jsonl");
    std::vector<evaluation::CompletionScores> scores;
    for (auto const& text : scorer_(made)) {
        scores.push_back(text.scores);
        lines_->write_line(
            nlohmann::ordered_json{{"step", run_.progress.step},
                                   {"prompt", text.prompt},
                                   {"completion", text.completion},
                                   {"reference", text.reference},
                                   {"exact_match", text.scores.exact_match},
                                   {"rouge_l", text.scores.rouge_l}}
                .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    }
    return scores;
}

} // namespace trireme::framework::train
