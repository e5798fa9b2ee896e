#include "launch/evaluate_choices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "data/json.hpp"
#include "data/task.hpp"
#include "framework/pretrained/hf_config.hpp"

namespace trireme::launch {

namespace {

using SortedJson = nlohmann::json;

constexpr std::int64_t kNearest = 5; ///< scikit-learn's n_neighbors

SortedJson request_of(framework::jobs::EvaluationJob const& job, ChoiceRequest const& r) {
    auto const model = framework::pretrained::read_hf_config(job.model);
    SortedJson request{
        {"template", r.prompt}, {"masked", !model.causal}, {"room", model.max_positions}};
    if (r.has_file()) {
        request[r.choices.empty() ? "sentence_pairs" : "choices"] = r.file();
        return request;
    }
    request.update(
        {{"few_shot", job.data}, {"split", job.split}, {"shots", *r.shots}, {"seed", r.seed}});
    return request;
}

framework::jobs::ChoiceJob choices_in(SortedJson const& answer) {
    framework::jobs::ChoiceJob choices{.labels =
                                           answer.at("labels").get<std::vector<std::string>>(),
                                       .vocabulary = answer.at("vocabulary").get<std::int64_t>()};
    for (auto const& sample : answer.at("samples")) {
        data::Sample& made = choices.samples.emplace_back();
        made.tokens = sample.at("tokens").get<std::vector<std::int32_t>>();
        made.labels[data::kTokenLabels.name] = sample.at("labels").get<std::vector<std::int32_t>>();
    }
    for (auto const& question : answer.at("questions"))
        choices.questions.push_back({question.at("right").get<std::int64_t>(),
                                     question.at("bytes").get<std::vector<std::int64_t>>(),
                                     question.at("source").get<std::string>(),
                                     question.value("samples", std::vector<std::int64_t>())});
    return choices;
}

} // namespace

void check_choices(ChoiceRequest const& r, std::string const& data) {
    if (!r.pairs.empty() && (r.shots || !data.empty() || !r.choices.empty() || !r.prompt.empty()))
        throw cluster::InputError("--pairs: legal without --data, --shots, --choices and "
                                  "--template: the file has the sentences");
    if (!r.choices.empty() && (r.shots || !data.empty()))
        throw cluster::InputError(
            "--choices: legal without --data and --shots: the file has the questions");
    if (!r.prompt.empty() && r.choices.empty() && !r.shots)
        throw cluster::InputError(
            "--template: legal with --shots, the number of examples in a prompt, or with "
            "--choices");
    if (r.shots && *r.shots < 0)
        throw cluster::InputError(fmt::format("--shots: {}: legal: a whole number >= 0", *r.shots));
    if (r.neighbours && !r.nearest())
        throw cluster::InputError(
            "--neighbours: legal with --shots and without --template: how many of the nearest "
            "texts give a text its label");
}

framework::jobs::Evaluation evaluate_nearest(framework::jobs::EvaluationJob const& job,
                                             ChoiceRequest const& r, cluster::Communicator& world) {
    std::int64_t const nearest = r.neighbours.value_or(std::min(kNearest, *r.shots));
    return framework::jobs::evaluate_neighbours(job, {*r.shots, nearest, r.seed}, world);
}

framework::jobs::Evaluation evaluate_choices(framework::jobs::EvaluationJob const& job,
                                             ChoiceRequest const& r, TextService* service,
                                             cluster::Communicator& world) {
    std::string shared;
    if (world.rank() == 0) {
        auto& text = service_of_rank_0(service);
        auto const vocabulary = text.hello().at("vocabulary");
        SortedJson answer = text.ask(request_of(job, r));
        answer["vocabulary"] = vocabulary;
        shared = answer.dump();
    }
    shared = cluster::broadcast_bytes(world, std::move(shared), 0, "evaluate/choices");
    return framework::jobs::evaluate_choices(job, choices_in(data::parse_json("choices", shared)),
                                             world);
}

} // namespace trireme::launch
