// Every key of a run's configuration with what is legal: the one list that reading, writing and
// listing walk, so that none of them can forget one. For config.cpp.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "data/task.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::config::keys {

/// States what a value must be, once for a person to read and once as a test.
template <typename T>
struct Rule {
    std::string legal;
    std::function<bool(T)> holds;
};

inline Rule<double> positive() {
    return {"a number > 0", [](double x) { return x > 0; }};
}
inline Rule<double> not_negative() {
    return {"a number >= 0", [](double x) { return x >= 0; }};
}
/// Times that a clock can add to its own without overflow.
inline Rule<double> minutes() {
    return {"a number from 0 to 5256000, the minutes of ten years",
            [](double x) { return x >= 0 && x <= 5'256'000; }};
}
inline Rule<double> seconds() {
    return {"a number > 0 and <= 31536000, the seconds of a year",
            [](double x) { return x > 0 && x <= 31'536'000; }};
}
inline Rule<double> fraction() {
    return {"a number from 0 to 1", [](double x) { return x >= 0 && x <= 1; }};
}
inline Rule<double> below_one() {
    return {"a number >= 0 and < 1", [](double x) { return x >= 0 && x < 1; }};
}
inline Rule<double> dropout() {
    return {"-1 (as config.json says) or a number >= 0 and < 1",
            [](double x) { return x == -1 || (x >= 0 && x < 1); }};
}
template <typename T>
Rule<T> at_least(T least) {
    return {fmt::format("a whole number >= {}", least), [least](T x) { return x >= least; }};
}
constexpr auto names_of(parallel::ScheduleKind) {
    return parallel::kScheduleNames;
}
/// Names of an enumerated value, in the order of its values.
template <typename Enum>
std::vector<std::string> legal_names(Enum value) {
    auto const names = names_of(value); // found beside the type, in its owner's section.hpp
    return {names.begin(), names.end()};
}
inline Rule<std::string> one_of(std::vector<std::string> names) {
    return {fmt::format("{}", fmt::join(names, ", ")),
            [names](std::string const& x) { return std::ranges::find(names, x) != names.end(); }};
}
inline Rule<std::string> not_empty(std::string what) {
    return {std::move(what), [](std::string const& x) { return !x.empty(); }};
}
inline Rule<bool> yes_or_no() {
    return {"true or false", [](bool) { return true; }};
}
/// Takes any list of layer counts; parallel/layer_split.hpp knows which lists fit a model.
inline Rule<std::vector<int>> layers_of_parts() {
    return {
        "a list of whole numbers >= 0, one for each part, as in [3, 4, 4, 3]; empty: an even split",
        [](std::vector<int> const& x) {
            return std::ranges::all_of(x, [](int n) { return n >= 0; });
        }};
}
inline Rule<data::ClassWeights> class_weights() {
    return {"none, balanced, or a number > 0 for names of classes, as in {bad: 2, good: 0.5}",
            [](data::ClassWeights const& x) {
                return std::ranges::all_of(x.by_name, [](auto const& entry) {
                    return std::isfinite(entry.second) && entry.second > 0;
                });
            }};
}
/// Only the key is listed here: mixture_keys.hpp reads and checks its contents.
inline Rule<data::TrainData> train_data() {
    return {"the name of a split, or a list of sources, as in [{path: data/reviews, weight: 3}, "
            "{path: data/general, weight: 1, max_epochs: 2}]",
            [](data::TrainData const&) { return true; }};
}
inline Rule<std::vector<data::CurriculumStage>> curriculum() {
    return {"a list, as in [{from_step: 1000, weights: {reviews: 1, general: 3}}]",
            [](std::vector<data::CurriculumStage> const&) { return true; }};
}
inline Rule<std::vector<std::string>> patterns() {
    return {R"(a list of patterns of parameter names in quotes, as in ["*.embeddings.*"])",
            [](std::vector<std::string> const& x) {
                return std::ranges::all_of(x, [](auto const& one) { return !one.empty(); });
            }};
}
inline Rule<double> layer_decay() {
    return {"a number > 0 and <= 1", [](double x) { return x > 0 && x <= 1; }};
}
inline Rule<std::string> any_text(std::string what) {
    return {std::move(what), [](std::string const&) { return true; }};
}
inline Rule<std::uint64_t> natural() {
    return {"a whole number >= 0", [](std::uint64_t) { return true; }};
}

inline std::vector<std::string> names_of_tasks() {
    std::vector<std::string> names;
    for (auto const& task : data::task_schemas()) names.emplace_back(task.name);
    return names;
}

/// Each calls w.field and w.choice in the order of to_yaml.
template <typename Walk>
void walk(Walk& w, pretrained::ModelSection& s) {
    w.field("path", s.path, not_empty("a Hugging Face folder"));
    w.field("from_scratch", s.from_scratch, yes_or_no());
    w.field("hidden_dropout", s.hidden_dropout, dropout());
    w.field("attention_dropout", s.attention_dropout, dropout());
    w.field("classifier_dropout", s.classifier_dropout, dropout());
}
template <typename Walk>
void walk(Walk& w, data::Section& s) {
    w.field("path", s.path, not_empty("a folder that `trireme prepare` wrote"));
    w.field("train", s.train, train_data());
    w.field("validation", s.validation, not_empty("the name of a split"));
    w.field("test", s.test, not_empty("the name of a split"));
    w.field("fraction", s.fraction,
            Rule<double>{"a number > 0 and <= 1: the share of the training samples to learn from",
                         [](double x) { return x > 0 && x <= 1; }});
    w.field("temperature", s.temperature, Rule<double>{"a number from 0.01 to 100", [](double x) {
                                                           return x >= 0.01 && x <= 100;
                                                       }});
    w.field("curriculum", s.curriculum, curriculum());
    w.field("mask_probability", s.mask_probability,
            Rule<double>{"a number > 0 and < 1", [](double x) { return x > 0 && x < 1; }});
    w.field("stage_to", s.stage_to, any_text("a folder on a disk of the node; empty: none"));
    w.field("remove_staged", s.remove_staged, yes_or_no());
}
template <typename Walk>
void walk(Walk& w, parallelize::ParallelSection& s) {
    w.field("pipeline", s.pipeline, at_least(1));
    w.field("replicate", s.replicate, at_least(0));
    w.field("shard", s.shard, at_least(0));
    w.field("context", s.context, at_least(1));
    w.field("tensor", s.tensor, at_least(1));
    w.field("zero", s.zero, Rule<int>{"0, 1, 2, 3", [](int x) { return x >= 0 && x <= 3; }});
    w.choice("schedule", s.schedule);
    w.field("virtual_stages", s.virtual_stages, at_least(1));
    w.field("layers_of_parts", s.layers, layers_of_parts());
    w.choice("recompute", s.recompute);
    w.choice("offload", s.offload);
    w.choice("device", s.device);
    w.field("share_gpus", s.share_gpus, yes_or_no());
}
template <typename Walk>
void walk(Walk& w, data::BatchSection& s) {
    w.field("global", s.global, at_least<std::int64_t>(1));
    w.field("tokens_per_micro_batch", s.tokens_per_micro_batch, at_least<std::int64_t>(1));
}
template <typename Walk>
void walk(Walk& w, parallelize::NumericsSection& s) {
    w.choice("mode", s.mode);
    w.choice("compute", s.compute);
    w.field("threads", s.threads, at_least(0));
}
template <typename Walk>
void walk(Walk& w, optimizer::Section& s) {
    w.field("learning_rate", s.learning_rate, positive());
    w.field("beta1", s.beta1, below_one());
    w.field("beta2", s.beta2, below_one());
    w.field("epsilon", s.epsilon, positive());
    w.field("weight_decay", s.weight_decay, not_negative());
    w.field("clip", s.clip, not_negative());
    w.choice("schedule", s.schedule);
    w.field("warmup", s.warmup, fraction());
    w.field("cooldown", s.cooldown, fraction());
    w.field("final_fraction", s.final_fraction, fraction());
    w.field("freeze", s.freeze, patterns());
    w.field("layer_decay", s.layer_decay, layer_decay());
    w.field("ema_decay", s.ema_decay, below_one());
}
template <typename Walk>
void walk(Walk& w, run::TrainSection& s) {
    w.field("epochs", s.epochs, positive());
    w.field("steps", s.steps, at_least<std::int64_t>(0));
    w.field("class_weights", s.class_weights, class_weights());
    w.field("base_divergence", s.base_divergence, not_negative());
    w.field("dynamics", s.dynamics, yes_or_no());
}
template <typename Walk>
void walk(Walk& w, evaluation::Section& s) {
    w.field("every", s.every, at_least<std::int64_t>(0));
    w.field("metric", s.metric, not_empty("a metric of the task (docs/metrics.md)"));
    w.choice("pooling", s.pooling);
    w.field("patience", s.patience, at_least(0));
    w.field("generate", s.generate, at_least<std::int64_t>(0));
    w.field("max_new_tokens", s.max_new_tokens, at_least<std::int64_t>(1));
}
template <typename Walk>
void walk(Walk& w, run::CheckpointSection& s) {
    w.field("every", s.every, at_least<std::int64_t>(0));
    w.field("minutes", s.minutes, minutes());
    w.field("keep_last", s.keep_last, at_least(1));
    w.field("keep_best", s.keep_best, yes_or_no());
    w.field("keep_every", s.keep_every, at_least<std::int64_t>(0));
    w.field("async", s.async, yes_or_no());
}
template <typename Walk>
void walk(Walk& w, run::GuardSection& s) {
    w.field("deadline", s.deadline, seconds());
    w.choice("non_finite", s.non_finite);
    w.field("most_skips", s.most_skips, at_least(0));
    w.field("spike", s.spike,
            Rule<double>{"0 (off) or a number > 1", [](double x) { return x == 0 || x > 1; }});
    w.field("compare_replicas", s.compare_replicas, at_least<std::int64_t>(0));
    w.choice("sensitivity", s.sensitivity);
    w.choice("overfitting", s.overfitting);
    w.field("general_data", s.general_data,
            any_text("a folder that `trireme prepare` wrote; empty: none"));
    w.field("max_forgetting", s.max_forgetting, not_negative());
}
template <typename Walk>
void walk(Walk& w, run::JobSection& s) {
    w.field("minutes", s.minutes, minutes());
    w.field("node_hours", s.node_hours, not_negative());
    w.field("attempts", s.attempts, at_least(1));
    w.field("until_step", s.until_step, at_least<std::int64_t>(0));
}

template <typename Walk>
void walk(Walk& w, log::Section& s) {
    w.field("every", s.every, at_least<std::int64_t>(0));
    w.field("machine", s.machine,
            any_text("a file of configs/machines, or the path of one; empty: none"));
    w.field("trace_steps", s.trace_steps, at_least<std::int64_t>(0));
    w.field("trace_after", s.trace_after, at_least<std::int64_t>(0));
}

/// Calls w.section, w.field and w.choice in the order of to_yaml.
template <typename Walk>
void walk(Walk& w, Config& c) {
    w.field("run", c.run, not_empty("a folder, made if it does not exist"));
    w.field("seed", c.seed, natural());
    w.field("task", c.task, one_of(names_of_tasks()));
    w.section("model", [&] { walk(w, c.model); });
    w.section("data", [&] { walk(w, c.data); });
    w.section("parallel", [&] { walk(w, c.parallel); });
    w.section("batch", [&] { walk(w, c.batch); });
    w.section("numerics", [&] { walk(w, c.numerics); });
    w.section("optimizer", [&] { walk(w, c.optimizer); });
    w.section("train", [&] { walk(w, c.train); });
    w.section("evaluation", [&] { walk(w, c.evaluation); });
    w.section("checkpoint", [&] { walk(w, c.checkpoint); });
    w.section("guard", [&] { walk(w, c.guard); });
    w.section("job", [&] { walk(w, c.job); });
    w.section("log", [&] { walk(w, c.log); });
}

} // namespace trireme::framework::config::keys
