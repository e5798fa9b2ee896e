#include "framework/jobs/model_card.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <utility>
#include <vector>

#include "data/task.hpp"
#include "framework/log/event_lines.hpp"

namespace trireme::framework::jobs {

namespace {

using Json = nlohmann::ordered_json;
using data::TaskKind;

/// The Hub's name of what the model is for.
char const* pipeline_tag(TaskKind kind) {
    switch (kind) {
    case TaskKind::classification:
    case TaskKind::regression:
    case TaskKind::multi_label: return "text-classification";
    case TaskKind::language_modeling:
    case TaskKind::generation: return "text-generation";
    case TaskKind::token_classification: return "token-classification";
    case TaskKind::question_answering: return "question-answering";
    case TaskKind::masked_language_modeling: return "fill-mask";
    }
    return "";
}

/// A text in double quotes, as YAML and JSON both have it.
std::string quoted(std::string const& text) {
    return Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// A text in the line of a table: nothing in it is markup.
std::string code(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < ' ' || c == '`' || c == '|') c = '?';
    return "`" + text + "`";
}

std::string last_part(std::string const& path) {
    std::filesystem::path const whole(path);
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

/// Numbers of the evaluation that are metrics.
std::vector<std::pair<std::string, double>> metrics_of(Json const& evaluation) {
    std::vector<std::pair<std::string, double>> found;
    for (auto const& [name, value] : evaluation.items())
        if (value.is_number() && name != "step" && name != "time" && name != "seconds" &&
            name != "samples")
            found.emplace_back(name, value.get<double>());
    return found;
}

std::string results_head(CardFacts const& facts, std::string const& tag) {
    std::string text = fmt::format(
        "model-index:\n- name: {}\n  results:\n  - task:\n      type: {}\n"
        "    dataset:\n      name: {}\n      type: {}\n      split: {}\n"
        "    metrics:\n",
        quoted(last_part(facts.config.model.path)), tag, quoted(last_part(facts.config.data.path)),
        quoted(last_part(facts.config.data.path)), quoted(facts.config.data.validation));
    for (auto const& [name, value] : metrics_of(*facts.evaluation))
        text += fmt::format("    - type: {}\n      value: {}\n", quoted(name), value);
    return text;
}

std::string head(CardFacts const& facts) {
    std::string const tag = pipeline_tag(data::task_named(facts.config.task, "task").kind);
    std::string text = "---\nlibrary_name: transformers\n";
    if (!facts.config.model.from_scratch)
        text += fmt::format("base_model: {}\n", quoted(last_part(facts.config.model.path)));
    text += fmt::format("pipeline_tag: {}\ntags:\n- trireme\n", tag);
    if (facts.evaluation && !metrics_of(*facts.evaluation).empty())
        text += results_head(facts, tag);
    return text + "---\n";
}

std::string table(std::vector<std::array<std::string, 2>> const& rows) {
    std::string text = "| | |\n| --- | --- |\n";
    for (auto const& [name, value] : rows) text += fmt::format("| {} | {} |\n", name, value);
    return text;
}

std::vector<std::string> sources_of(data::Section const& data) {
    std::vector<std::string> names;
    for (auto const& source : data.train.sources)
        names.push_back(code(last_part(source.path.empty() ? data.path : source.path)));
    return names;
}

std::string training(CardFacts const& facts) {
    auto const& c = facts.config;
    std::vector<std::array<std::string, 2>> rows{
        {"starting point",
         code(last_part(c.model.path)) +
             (c.model.from_scratch ? ", its configuration alone: weights began at random" : "")},
        {"task", c.task + (facts.labels > 0 ? fmt::format(", {} labels", facts.labels) : "")},
        {"data", code(last_part(c.data.path))},
        {"checkpoint", facts.checkpoint},
        {"samples in a step", fmt::format("{}", c.batch.global)},
        {"AdamW", fmt::format("learning rate {}, {}, warm-up {} of the steps; betas {} and {}; "
                              "weight decay {}; gradient norm at most {}",
                              c.optimizer.learning_rate, parallelize::name_of(c.optimizer.schedule),
                              c.optimizer.warmup, c.optimizer.beta1, c.optimizer.beta2,
                              c.optimizer.weight_decay, c.optimizer.clip)},
        {"arithmetic", parallelize::name_of(c.numerics.compute)},
        {"seed", fmt::format("{}", c.seed)}};
    if (auto const sources = sources_of(c.data); !sources.empty())
        rows.push_back({"mixture of", fmt::format("{}", fmt::join(sources, ", "))});
    if (!c.optimizer.freeze.empty())
        rows.push_back({"frozen", code(fmt::format("{}", fmt::join(c.optimizer.freeze, " ")))});
    return "## Training\n\nEvery parameter was fine-tuned, but for those named as frozen.\n\n" +
           table(rows);
}

std::string results(CardFacts const& facts) {
    if (!facts.evaluation)
        return "## Evaluation\n\nThe run did not evaluate these weights. `trireme evaluate` "
               "does.\n";
    std::vector<std::array<std::string, 2>> rows;
    for (auto const& [name, value] : metrics_of(*facts.evaluation))
        rows.push_back({name, fmt::format("{:.4f}", value)});
    return fmt::format("## Evaluation\n\nOn the split {} of {}, during training: what chose the "
                       "checkpoint was measured on it too, so that a split that nothing was chosen "
                       "by says more.\n\n{}",
                       code(facts.config.data.validation), code(last_part(facts.config.data.path)),
                       table(rows));
}

constexpr char const* kOpen =
    "## To be filled in\n\n"
    "- **Licence** of the model and of the data that it was trained on: \n"
    "- **Intended use**, and what it must not be used for: \n"
    "- **People** whom its mistakes touch, and groups for which it was not measured: \n"
    "- **Languages and kinds of text** that it knows: \n"
    "- **Known limits**: \n";

} // namespace

std::optional<Json> evaluation_at(std::string const& run, std::int64_t step) {
    std::optional<Json> found;
    log::read_events(run, [&](log::EventLine const& event) {
        if (event.kind() == "evaluation" && event.steps("step") == step) found = event.json();
    });
    return found;
}

std::string model_card(CardFacts const& facts) {
    return fmt::format(
        "{}\n# {} for {}\n\nWritten by `trireme export`. `trireme verify` says whether "
        "the folder still computes what it did then.\n\n{}\n{}\n{}",
        head(facts), last_part(facts.config.model.path), facts.config.task, training(facts),
        results(facts), kOpen);
}

} // namespace trireme::framework::jobs
