// Every key of a run's configuration with what is legal: the one list that reading, writing and
// listing walk, so that none of them can forget one. For config.cpp.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "data/task.hpp"
#include "framework/config/config.hpp"
#include "framework/config/names.hpp"

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
/// Names of an enumerated value, in the order of its values.
template <typename Enum>
std::vector<std::string> names_of(Enum) {
    auto const& names = Names<Enum>::value;
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
inline Rule<std::uint64_t> natural() {
    return {"a whole number >= 0", [](std::uint64_t) { return true; }};
}

inline std::vector<std::string> names_of_tasks() {
    std::vector<std::string> names;
    for (auto const& task : data::task_schemas()) names.emplace_back(task.name);
    return names;
}

/// Calls w.section, w.field and w.choice in the order of to_yaml.
template <typename Walk>
void walk(Walk& w, Config& c) {
    w.field("run", c.run, not_empty("a folder, made if it does not exist"));
    w.field("seed", c.seed, natural());
    w.field("task", c.task, one_of(names_of_tasks()));
    w.section("model", [&] {
        w.field("path", c.model.path, not_empty("a Hugging Face folder"));
        w.field("from_scratch", c.model.from_scratch, yes_or_no());
        w.field("hidden_dropout", c.model.hidden_dropout, dropout());
        w.field("attention_dropout", c.model.attention_dropout, dropout());
        w.field("classifier_dropout", c.model.classifier_dropout, dropout());
    });
    w.section("data", [&] {
        w.field("path", c.data.path, not_empty("a folder that `trireme prepare` wrote"));
        w.field("train", c.data.train, not_empty("the name of a split"));
        w.field("validation", c.data.validation, not_empty("the name of a split"));
        w.field("test", c.data.test, not_empty("the name of a split"));
    });
    w.section("parallel", [&] {
        w.field("pipeline", c.parallel.pipeline, at_least(1));
        w.field("replicate", c.parallel.replicate, at_least(0));
        w.field("shard", c.parallel.shard, at_least(0));
        w.field("context", c.parallel.context, at_least(1));
        w.field("tensor", c.parallel.tensor, at_least(1));
        w.field("zero", c.parallel.zero,
                Rule<int>{"0, 1, 2, 3", [](int x) { return x >= 0 && x <= 3; }});
        w.choice("schedule", c.parallel.schedule);
        w.field("virtual_stages", c.parallel.virtual_stages, at_least(1));
        w.field("layers_of_parts", c.parallel.layers, layers_of_parts());
        w.choice("recompute", c.parallel.recompute);
        w.choice("offload", c.parallel.offload);
        w.choice("device", c.parallel.device);
        w.field("share_gpus", c.parallel.share_gpus, yes_or_no());
    });
    w.section("batch", [&] {
        w.field("global", c.batch.global, at_least<std::int64_t>(1));
        w.field("tokens_per_micro_batch", c.batch.tokens_per_micro_batch,
                at_least<std::int64_t>(1));
    });
    w.section("numerics", [&] {
        w.choice("mode", c.numerics.mode);
        w.choice("compute", c.numerics.compute);
        w.field("threads", c.numerics.threads, at_least(0));
    });
    w.section("optimizer", [&] {
        w.field("learning_rate", c.optimizer.learning_rate, positive());
        w.field("beta1", c.optimizer.beta1, below_one());
        w.field("beta2", c.optimizer.beta2, below_one());
        w.field("epsilon", c.optimizer.epsilon, positive());
        w.field("weight_decay", c.optimizer.weight_decay, not_negative());
        w.field("clip", c.optimizer.clip, not_negative());
        w.choice("schedule", c.optimizer.schedule);
        w.field("warmup", c.optimizer.warmup, fraction());
        w.field("cooldown", c.optimizer.cooldown, fraction());
        w.field("final_fraction", c.optimizer.final_fraction, fraction());
    });
    w.section("train", [&] {
        w.field("epochs", c.train.epochs, positive());
        w.field("steps", c.train.steps, at_least<std::int64_t>(0));
    });
    w.section("evaluation", [&] {
        w.field("every", c.evaluation.every, at_least<std::int64_t>(0));
        w.field("metric", c.evaluation.metric, not_empty("a metric of the task (docs/metrics.md)"));
        w.field("patience", c.evaluation.patience, at_least(0));
    });
    w.section("checkpoint", [&] {
        w.field("every", c.checkpoint.every, at_least<std::int64_t>(0));
        w.field("minutes", c.checkpoint.minutes, minutes());
        w.field("keep_last", c.checkpoint.keep_last, at_least(1));
        w.field("keep_best", c.checkpoint.keep_best, yes_or_no());
        w.field("keep_every", c.checkpoint.keep_every, at_least<std::int64_t>(0));
        w.field("async", c.checkpoint.async, yes_or_no());
    });
    w.section("guard", [&] {
        w.field("deadline", c.guard.deadline, seconds());
        w.choice("non_finite", c.guard.non_finite);
        w.field("most_skips", c.guard.most_skips, at_least(0));
        w.field("spike", c.guard.spike,
                Rule<double>{"0 (off) or a number > 1", [](double x) { return x == 0 || x > 1; }});
        w.field("compare_replicas", c.guard.compare_replicas, at_least<std::int64_t>(0));
        w.choice("sensitivity", c.guard.sensitivity);
    });
    w.section("job", [&] {
        w.field("minutes", c.job.minutes, minutes());
        w.field("node_hours", c.job.node_hours, not_negative());
        w.field("attempts", c.job.attempts, at_least(1));
    });
}

} // namespace trireme::framework::config::keys
