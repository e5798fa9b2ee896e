#include "framework/inputs/validation_prompts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "framework/generation/stop_tokens.hpp"

namespace trireme::framework::inputs {

namespace {

void check_layout(config::Config const& config) {
    auto const& parallel = config.parallel;
    auto const refuse = [&](std::string const& what, std::string const& legal) {
        throw cluster::InputError(fmt::format("{}: legal with evaluation.generate: {}: {}", what,
                                              config.evaluation.generate, legal));
    };
    if (parallel.tensor > 1)
        refuse(fmt::format("parallel.tensor: {}", parallel.tensor),
               "1; completions are not divided over tensor ranks");
    if (parallel.virtual_stages > 1)
        refuse(fmt::format("parallel.virtual_stages: {}", parallel.virtual_stages),
               "1; completions go through one part of the model on each stage");
    if (parallel.device != parallelize::Device::cpu)
        refuse(fmt::format("parallel.device: {}", name_of(parallel.device)),
               "cpu; completions are computed there");
}

void check_data(config::Config const& config, data::Dataset const* validation) {
    std::int64_t const asked = config.evaluation.generate;
    if (!data::task_named(config.task, "task").prompted)
        throw cluster::InputError(fmt::format(
            "evaluation.generate: {}: legal for {}: 0; its samples have no prompts to complete",
            asked, config.task));
    if (!validation || asked > validation->size())
        throw cluster::InputError(fmt::format(
            "evaluation.generate: {}: {} has {} samples of split \"{}\" to complete; legal: at "
            "most that",
            asked, config.data.path, validation ? validation->size() : 0, config.data.validation));
}

/// Divides a sample before its last stretch of trained tokens. The token of a label follows the
/// one that the label stands at.
void add(data::MicroBatch const& sample, std::string const& name, ValidationPrompts& to) {
    auto const& labels = sample.columns.labels_of(data::kTokenLabels);
    auto const trained = [](std::int32_t label) { return data::counts(label); };
    auto const end = std::find_if(labels.rbegin(), labels.rend(), trained).base();
    auto const first =
        std::find_if_not(std::make_reverse_iterator(end), labels.rend(), trained).base();
    auto const length = first - labels.begin() + 1;
    std::vector<std::int32_t> reference(first, end);
    auto const& stops = to.options.stops;
    if (!reference.empty() && std::ranges::find(stops, reference.back()) != stops.end())
        reference.pop_back();
    to.prompts.push_back(
        {std::ssize(to.prompts), {sample.tokens.begin(), sample.tokens.begin() + length}, name});
    to.references.push_back(std::move(reference));
}

} // namespace

ValidationPrompts open_prompts(config::Config const& config, data::Dataset const* validation) {
    ValidationPrompts found;
    std::int64_t const count = config.evaluation.generate;
    if (count == 0) return found;
    check_layout(config);
    check_data(config, validation);
    found.options.max_new_tokens = config.evaluation.max_new_tokens;
    for (auto const& folder : {config.data.path, config.model.path})
        if (found.options.stops.empty()) found.options.stops = generation::stop_tokens(folder);
    for (std::int64_t i = 0; i < count; ++i) {
        std::int64_t const sample = i * validation->size() / count;
        add(validation->read({sample}, 1),
            fmt::format("{}: {}: sample {}", config.data.path, config.data.validation, sample),
            found);
    }
    return found;
}

} // namespace trireme::framework::inputs
