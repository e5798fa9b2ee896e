#include "framework/jobs/prediction_lines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "cluster/error.hpp"
#include "data/memory_dataset.hpp"
#include "data/questions.hpp"
#include "framework/evaluation/answers.hpp"
#include "framework/tasks/task.hpp"

namespace trireme::framework::jobs {

namespace {

using Json = nlohmann::ordered_json;

/// Refers to the outcome and to the names; words are left out.
tasks::Prediction prediction_of(evaluation::Outcome const& outcome, std::size_t i,
                                std::vector<std::string> const& labels) {
    auto const outputs = static_cast<std::size_t>(outcome.outputs);
    auto const row = [&](std::vector<float> const& rows) {
        return rows.empty() ? std::span<float const>()
                            : std::span(rows).subspan(i * outputs, outputs);
    };
    tasks::Prediction found{outcome.samples[i], labels, row(outcome.logits), row(outcome.targets)};
    if (!outcome.spans.empty())
        found.spans =
            std::span(outcome.spans).subspan(i * model::kSpansOfWindow, model::kSpansOfWindow);
    return found;
}

std::string text_of(Json const& line) {
    return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json line_of_sample(model::SampleResult const& result, data::Dataset const& set) {
    Json line{{"sample", result.sample}};
    if (std::string const source = set.source(result.sample); !source.empty())
        line["source"] = source;
    line.update({{"loss", result.loss}, {"trained", result.trained}});
    return line;
}

/// A line for each question, of all its windows.
std::string lines_of_answers(evaluation::Outcome const& outcome) {
    std::string text;
    for (auto const& answer : evaluation::answers_of(outcome))
        text += text_of(evaluation::to_json(answer));
    return text;
}

/// A sample with the task's columns, those that it lacks not known.
data::Sample sample_of(data::Sample sample, std::size_t text, data::TaskSchema const& task,
                       std::int64_t outputs) {
    sample.source = {0, static_cast<std::int64_t>(text)};
    for (auto const& column : task.columns) {
        auto const width = static_cast<std::size_t>(column.width_for(outputs));
        if (column.values == data::Values::reals)
            sample.reals[column.name].assign(width, std::numeric_limits<float>::quiet_NaN());
        else if (!sample.labels.contains(column.name))
            sample.labels[column.name].assign(width, data::kIgnoredLabel);
    }
    return sample;
}

/// Says of words what was said of those that the windows have, and has null for the others.
void tell_words(UnlabelledText const& text, Json& line) {
    auto const place = [&](Json const& i) {
        return static_cast<std::size_t>(text.word_places.at(i.get<std::size_t>()));
    };
    Json const found = std::exchange(line["predictions"], Json(text.words.size(), nullptr));
    for (std::size_t i = 0; i < found.size(); ++i) line["predictions"][place(i)] = found[i];
    for (auto& entity : line["entities"]) {
        auto const first = place(entity["start"]),
                   end = place(entity["end"].get<std::size_t>() - 1) + 1;
        entity["start"] = first;
        entity["end"] = end;
        entity["text"] =
            fmt::format("{}", fmt::join(std::span(text.words).subspan(first, end - first), " "));
    }
    line["words"] = text.words;
}

std::vector<Json> lines_of_words(evaluation::Outcome const& outcome,
                                 std::vector<UnlabelledText> const& texts,
                                 std::vector<std::string> const& labels) {
    std::vector<Json> lines(texts.size());
    std::size_t window = 0, word = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        auto found = prediction_of(outcome, window, labels);
        auto const own = 2 * texts[i].word_places.size(); // of all its windows, one after another
        found.words = std::span(outcome.words).subspan(std::exchange(word, word + own), own);
        tasks::task_of(data::TaskKind::token_classification).describe(found, lines[i]);
        tell_words(texts[i], lines[i]);
        window += texts[i].windows.size();
    }
    return lines;
}

std::vector<Json> lines_of_questions(evaluation::Outcome const& outcome, Choice const& choice) {
    std::vector<Json> lines;
    for (auto const& answer : evaluation::answers_of(outcome, !choice.always_answers))
        evaluation::describe(answer, lines.emplace_back());
    return lines;
}

void check_window(data::Sample const& window, std::string const& folder,
                  model::Config const& model) {
    for (auto const token : window.tokens)
        if (token < 0 || token >= model.vocabulary)
            throw cluster::InputError(fmt::format(
                "{}/tokenizer.json: token {}: legal: 0 to {}, the vocab_size of config.json",
                folder, token, model.vocabulary - 1));
    if (std::ssize(window.tokens) > model.max_positions)
        throw cluster::InputError(fmt::format("--max-length: a text of {} tokens: legal: at most "
                                              "{}, the positions of {}/config.json",
                                              window.tokens.size(), model.max_positions, folder));
    for (auto const segment : window.segments)
        if (model.token_types > 0 && segment >= model.token_types)
            throw cluster::InputError(fmt::format(
                "--pair: segment {}: legal: 0 to {}, the type_vocab_size of {}/config.json",
                segment, model.token_types - 1, folder));
}

} // namespace

std::string labelled_lines(evaluation::Outcome const& outcome, data::Dataset const& set) {
    if (outcome.questions) return lines_of_answers(outcome);
    tasks::Task const& task = tasks::task_of(set.task().kind);
    std::string text;
    std::size_t word = 0;
    for (std::size_t i = 0; i < outcome.samples.size(); ++i) {
        Json line = line_of_sample(outcome.samples[i], set);
        tasks::Prediction found = prediction_of(outcome, i, set.label_names());
        if (!outcome.words.empty()) {
            auto const own = static_cast<std::size_t>(2 * outcome.samples[i].trained);
            found.words = std::span(outcome.words).subspan(std::exchange(word, word + own), own);
        }
        task.describe_label(found, line);
        task.describe(found, line);
        text += line.dump() + "\n";
    }
    return text;
}

void check_texts(std::vector<UnlabelledText> const& texts, std::string const& folder,
                 model::Config const& model) {
    for (auto const& text : texts)
        for (auto const& window : text.windows) check_window(window, folder, model);
}

std::unique_ptr<data::Dataset> dataset_of(std::vector<UnlabelledText> const& texts,
                                          data::TaskSchema const& task,
                                          model::Config const& model) {
    std::vector<data::Sample> samples;
    auto questions = std::make_unique<data::Questions>();
    for (std::size_t i = 0; i < texts.size(); ++i) {
        for (auto const& window : texts[i].windows) {
            samples.push_back(sample_of(window, i, task, std::ssize(model.labels)));
            questions->of_sample.push_back(static_cast<std::int64_t>(i));
        }
        questions->all.push_back({.context = texts[i].context});
    }
    if (task.kind != data::TaskKind::question_answering) questions.reset();
    return data::make_memory_dataset(task.kind, std::move(samples), model.labels, model.vocabulary,
                                     std::move(questions));
}

std::vector<Json> unlabelled_lines(evaluation::Outcome const& outcome,
                                   std::vector<UnlabelledText> const& texts,
                                   data::Dataset const& set, Choice const& choice) {
    if (outcome.findings == model::Findings::answers) return lines_of_questions(outcome, choice);
    if (outcome.findings == model::Findings::token_classes)
        return lines_of_words(outcome, texts, set.label_names());
    std::vector<Json> lines(outcome.samples.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
        auto found = prediction_of(outcome, i, set.label_names());
        found.least_logit = std::log(choice.threshold / (1 - choice.threshold));
        tasks::task_of(set.task().kind).describe(found, lines[i]);
    }
    return lines;
}

std::vector<Json> filled_lines(std::vector<evaluation::Fill> const& fills,
                               std::vector<UnlabelledText> const& texts) {
    std::vector<Json> lines;
    auto fill = fills.begin();
    std::int64_t end = 0; // of the windows of the texts so far
    for (auto const& text : texts) {
        end += std::ssize(text.windows);
        Json& masks = lines.emplace_back()["masks"] = Json::array();
        std::pair<std::int64_t, std::int32_t> before{-1, -1};
        for (; fill != fills.end() && fill->sample < end; ++fill) {
            std::pair const own{fill->sample, fill->place};
            if (std::exchange(before, own) != own) masks.push_back(Json::array());
            masks.back().push_back({{"token", fill->token}, {"probability", fill->probability}});
        }
    }
    return lines;
}

} // namespace trireme::framework::jobs
