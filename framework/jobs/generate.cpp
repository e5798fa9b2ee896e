#include "framework/jobs/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/topology.hpp"
#include "data/json.hpp"
#include "framework/config/layout_config.hpp"
#include "framework/generation/generator.hpp"
#include "framework/inputs/loaded_model.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::jobs {

namespace {

using Json = nlohmann::json;

/// The prompts from `first` on that are decoded together.
std::vector<generation::Prompt> group_of(GenerationJob const& job, std::size_t first) {
    std::size_t const end =
        std::min(job.prompts.size(), first + static_cast<std::size_t>(job.options.batch));
    return {job.prompts.begin() + static_cast<std::ptrdiff_t>(first),
            job.prompts.begin() + static_cast<std::ptrdiff_t>(end)};
}

void check(GenerationJob const& job, model::Config const& model) {
    generation::check_prompts(job.prompts, job.options, model);
    for (auto const stop : job.options.stops)
        if (stop >= model.vocabulary)
            throw cluster::InputError(
                fmt::format("{}: eos_token_id: {}: legal: 0 to {}, the model's vocabulary",
                            job.model, stop, model.vocabulary - 1));
    for (std::size_t i = 0; i < job.references.size(); ++i) {
        auto const length =
            static_cast<std::int64_t>(job.prompts[i].tokens.size() + job.references[i].size());
        if (!job.references[i].empty() && length > model.max_positions + 1)
            throw cluster::InputError(fmt::format("{}: completion: {} tokens with its prompt: "
                                                  "legal: at most {}, the positions of the model",
                                                  job.prompts[i].name, length - 1,
                                                  model.max_positions));
    }
}

/// Scores those of a group that have a reference.
void score(GenerationJob const& job, generation::Generator const& generator,
           std::vector<generation::Prompt> const& group, Json& out) {
    std::vector<generation::Prompt> prompts;
    std::vector<std::vector<std::int32_t>> references;
    for (auto const& p : group) {
        auto const i = static_cast<std::size_t>(p.index);
        if (i >= job.references.size() || job.references[i].empty()) continue;
        prompts.push_back(p);
        references.push_back(job.references[i]);
    }
    if (prompts.empty()) return;
    auto const losses = generator.losses(prompts, references);
    for (std::size_t k = 0; k < prompts.size(); ++k)
        out["references"].push_back({prompts[k].index, losses[k].loss, losses[k].tokens});
}

GenerationResult gather(Json const& mine, std::size_t prompts, cluster::Communicator& world) {
    GenerationResult result;
    result.completions.resize(prompts);
    result.references.resize(prompts);
    std::size_t found = 0;
    for (auto const& part : cluster::all_gather_bytes(world, mine.dump(), "generation/results")) {
        Json const json = data::parse_json("generation/results", part);
        for (auto const& c : json.at("completions")) {
            result.completions.at(c[0].get<std::size_t>()) = {
                c[0], c[1], c[2], static_cast<generation::Ending>(c[3].get<int>())};
            ++found;
        }
        for (auto const& r : json.at("references"))
            result.references.at(r[0].get<std::size_t>()) = {r[1], r[2]};
    }
    if (found != prompts)
        throw cluster::JobError(fmt::format("{} completions for {} prompts", found, prompts));
    return result;
}

/// Reads this rank's part of the model, and returns use(mesh, generator, model).
template <typename Use>
auto with_generator(GenerationJob const& job, cluster::Communicator& world, Use const& use) {
    parallelize::configure_numerics(
        {.mode = parallelize::NumericsMode::bitwise, .threads = job.threads},
        cluster::topology(world).cores_per_rank);
    config::Config const config =
        config::layout_config("trireme generate", {"parallel.pipeline", "parallel.layers_of_parts"},
                              job.set, job.model, "generation");
    model::Config const model = inputs::read_model_config(config, {});
    check(job, model);
    pretrained::check_complete(config.model, model); // before memory is taken
    parallel::Mesh const mesh(world, parallelize::mesh_shape(config.parallel, world.size()));
    inputs::LoadedModel loaded(config, model, mesh, inputs::Purpose::inference);
    loaded.read_trained_weights("a language model with its head");
    generation::Generator const generator(
        generation::Relay(loaded.part(), model, mesh.along(parallel::Axis::pipeline)));
    return use(mesh, generator, model);
}

/// The groups that come to this copy of the model, completed and scored.
Json complete_groups(GenerationJob const& job, parallel::Mesh const& mesh,
                     generation::Generator const& generator, generation::Listener const& listener) {
    Json const nothing{{"completions", Json::array()}, {"references", Json::array()}};
    bool const speaks =
        mesh.along(parallel::Axis::pipeline).rank() == 0; // all stages find the same
    Json mine = nothing;
    auto const step = static_cast<std::size_t>(job.options.batch);
    for (std::size_t first = 0; first < job.prompts.size(); first += step) {
        auto const copies = static_cast<std::size_t>(mesh.data().size());
        if (first / step % copies != static_cast<std::size_t>(mesh.data().rank())) continue;
        auto const group = group_of(job, first);
        for (auto const& c :
             generator.complete(group, job.options, speaks ? listener : generation::Listener()))
            mine["completions"].push_back(
                {c.index, c.tokens, c.log_probability, static_cast<int>(c.ending)});
        score(job, generator, group, mine);
    }
    return speaks ? mine : nothing;
}

} // namespace

GenerationResult run_generation(GenerationJob const& job, cluster::Communicator& world,
                                generation::Listener const& listener) {
    Json const mine = with_generator(
        job, world, [&](parallel::Mesh const& mesh, auto const& generator, auto const&) {
            return complete_groups(job, mesh, generator, listener);
        });
    return gather(mine, job.prompts.size(), world);
}

void run_conversation(GenerationJob const& job, cluster::Communicator& world,
                      std::function<void(Completer const&)> const& talk) {
    with_generator(job, world, [&](auto const&, auto const& generator, model::Config const& model) {
        talk([&](std::vector<std::int32_t> const& tokens, generation::Listener const& listener) {
            std::vector<generation::Prompt> const prompt{{0, tokens, "the conversation"}};
            generation::check_prompts(prompt, job.options, model);
            return generator.complete(prompt, job.options, listener).front();
        });
    });
}

} // namespace trireme::framework::jobs
