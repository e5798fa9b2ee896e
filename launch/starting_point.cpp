#include "launch/starting_point.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cluster/counted.hpp"

namespace trireme::launch {

namespace {

using data::TaskKind;

constexpr std::int64_t kMillion = 1'000'000;
/// Updates below which a run of few epochs has hardly begun, and the epochs that it may get then.
constexpr double kFewUpdates = 200, kMostEpochs = 20;

/// Families whose authors published values of their own.
bool is_roberta(std::string const& family) {
    return family == "roberta" || family == "xlm-roberta" || family == "camembert";
}

/// Kinds of training for which papers give values.
enum class Recipe { encoder_head, decoder_head, masked, text, completions };

Recipe recipe_of(Beginning const& b) {
    switch (b.task) {
    case TaskKind::language_modeling: return Recipe::text;
    case TaskKind::generation: return Recipe::completions;
    case TaskKind::masked_language_modeling: return Recipe::masked;
    case TaskKind::classification:
    case TaskKind::regression:
    case TaskKind::multi_label:
    case TaskKind::token_classification:
    case TaskKind::question_answering: break;
    }
    return b.known_model && b.known_model->causal ? Recipe::decoder_head : Recipe::encoder_head;
}

std::int64_t parameters_of(Beginning const& b) {
    return b.known_model ? b.known_model->parameters : 110 * kMillion; // those of a base model
}

Setting encoder_rate(Beginning const& b) {
    std::string const key = "optimizer.learning_rate";
    bool const answers = b.task == TaskKind::question_answering;
    if (b.known_model && is_roberta(b.known_model->family))
        return {key, answers ? "1.5e-5" : "2e-5",
                answers ? "Liu et al. 2019 (RoBERTa), table 10: 1.5e-5 on SQuAD"
                        : "Liu et al. 2019 (RoBERTa), table 10: 1e-5, 2e-5 or 3e-5 on GLUE"};
    if (parameters_of(b) < 50 * kMillion)
        return {key, "1e-4",
                "github.com/google-research/bert, README, of smaller BERT models: 3e-4, 1e-4, 5e-5 "
                "or 3e-5"};
    if (parameters_of(b) >= 200 * kMillion)
        return {key, "2e-5",
                "Mosbach et al. 2021 (stability of fine-tuning BERT), section 6: 2e-5, with "
                "warm-up, where larger rates fail on some seeds"};
    if (answers) return {key, "5e-5", "Devlin et al. 2019 (BERT), section 4.2: 5e-5 on SQuAD"};
    return {key, "3e-5", "Devlin et al. 2019 (BERT), appendix A.3: 5e-5, 3e-5 or 2e-5"};
}

Setting learning_rate(Beginning const& b) {
    std::string const key = "optimizer.learning_rate";
    Recipe const recipe = recipe_of(b);
    if (recipe == Recipe::encoder_head) return encoder_rate(b);
    if (recipe == Recipe::masked)
        return {key, "1e-4",
                "github.com/allenai/dont-stop-pretraining, ADAPTIVE_PRETRAINING.md: 1e-4 on a "
                "task's texts"};
    if (parameters_of(b) >= 1000 * kMillion)
        return {key, "2e-5", "Touvron et al. 2023 (Llama 2), section 3.1: 2e-5"};
    if (recipe == Recipe::decoder_head)
        return {key, "6.25e-5", "Radford et al. 2018 (GPT), section 4.1: 6.25e-5"};
    return {key, "5e-5",
            "transformers, TrainingArguments.learning_rate: 5e-5; with many samples more may be "
            "better (alignment-handbook, recipes/smollm2/sft: 3e-4 on a million conversations)"};
}

Setting usual_batch(Recipe recipe) {
    std::string const key = "batch.global";
    switch (recipe) {
    case Recipe::encoder_head:
        return {key, "32", "Devlin et al. 2019 (BERT), appendix A.3: 16 or 32"};
    case Recipe::decoder_head: return {key, "32", "Radford et al. 2018 (GPT), section 4.1: 32"};
    case Recipe::masked:
        return {key, "256",
                "github.com/allenai/dont-stop-pretraining, ADAPTIVE_PRETRAINING.md: 16 times 16"};
    case Recipe::text:
    case Recipe::completions: break;
    }
    return {key, "64", "Touvron et al. 2023 (Llama 2), section 3.1: 64 sequences"};
}

/// An epoch of few samples is to have at least 20 updates, of 8 samples or more.
Setting batch(Beginning const& b) {
    Setting setting = usual_batch(recipe_of(b));
    if (!b.known_data) return setting;
    std::int64_t const usual = std::stoll(setting.value), samples = b.known_data->samples;
    std::int64_t size = usual;
    while (size > 8 && size * 20 > samples) size /= 2;
    size = std::min(size, samples);
    if (size == usual) return setting;
    return {setting.key, std::to_string(size),
            fmt::format("{}; less here, so that an epoch of {} has more updates", setting.source,
                        cluster::counted(samples, "sample"))};
}

Setting usual_epochs(Beginning const& b) {
    std::string const key = "train.epochs";
    Recipe const recipe = recipe_of(b);
    if (recipe == Recipe::masked)
        return {key, "10",
                "github.com/allenai/dont-stop-pretraining, ADAPTIVE_PRETRAINING.md: 100 on a "
                "task's texts; "
                "fewer as a start, since evaluations say when to go on"};
    if (recipe == Recipe::completions)
        return {key, "2", "Touvron et al. 2023 (Llama 2), section 3.1: 2"};
    if (recipe == Recipe::text) return {key, "3", "transformers, TrainingArguments: 3"};
    if (recipe == Recipe::decoder_head)
        return {key, "3", "Radford et al. 2018 (GPT), section 4.1: 3"};
    if (b.known_model && b.known_model->parameters < 50 * kMillion)
        return {key, "4", "github.com/google-research/bert, README, of smaller BERT models: 4"};
    return {key, "3", "Devlin et al. 2019 (BERT), appendix A.3: 2, 3 or 4"};
}

/// Few samples get more epochs, as a run of a hundred updates ends before it has learnt.
Setting epochs(Beginning const& b, std::int64_t batch) {
    Setting setting = usual_epochs(b);
    if (!b.known_data) return setting;
    double const usual = std::stod(setting.value),
                 an_epoch = static_cast<double>(b.known_data->samples / batch);
    double const wanted = std::min(kMostEpochs, std::ceil(kFewUpdates / std::max(an_epoch, 1.0)));
    if (wanted <= usual) return setting;
    return {setting.key, fmt::format("{:g}", wanted),
            fmt::format("Mosbach et al. 2021, section 6, and Zhang et al. 2021 (few-sample BERT "
                        "fine-tuning), section 6: small sets want more, up to 20; {} updates an "
                        "epoch",
                        an_epoch)};
}

Setting weight_decay(Beginning const& b) {
    std::string const key = "optimizer.weight_decay";
    Recipe const recipe = recipe_of(b);
    bool const large = parameters_of(b) >= 1000 * kMillion;
    if (large && (recipe == Recipe::text || recipe == Recipe::completions))
        return {key, "0.1", "Touvron et al. 2023 (Llama 2), section 3.1: 0.1"};
    if (recipe == Recipe::encoder_head && b.known_model && is_roberta(b.known_model->family) &&
        b.task != TaskKind::question_answering)
        return {key, "0.1", "Liu et al. 2019 (RoBERTa), table 10: 0.1 on GLUE"};
    return {key, "0.01",
            "github.com/google-research/bert, optimization.py: 0.01, not on biases and norms"};
}

Setting warmup(Beginning const& b) {
    std::string const key = "optimizer.warmup";
    Recipe const recipe = recipe_of(b);
    if (recipe == Recipe::masked || (b.known_model && is_roberta(b.known_model->family)))
        return {key, "0.06",
                "Liu et al. 2019 (RoBERTa), table 10, of fine-tuning: 0.06 of the steps"};
    if (recipe == Recipe::encoder_head)
        return {key, "0.1", "github.com/google-research/bert, run_classifier.py: 0.1 of the steps"};
    return {key, "0.03", "github.com/tatsu-lab/stanford_alpaca, README: 0.03 of the steps"};
}

Setting schedule(Recipe recipe) {
    std::string const key = "optimizer.schedule";
    if (recipe == Recipe::text)
        return {
            key, "cosine",
            "Ibrahim et al. 2024 (continual pretraining), section 6: warm up again, then decay"};
    if (recipe == Recipe::completions)
        return {key, "cosine", "Touvron et al. 2023 (Llama 2), section 3.1: cosine"};
    return {key, "linear", "github.com/google-research/bert, optimization.py: linear, to 0"};
}

/// Does one class have more than three times the samples of another?
bool unbalanced(std::vector<std::int64_t> const& counts) {
    if (counts.empty()) return false;
    auto const [least, most] = std::ranges::minmax(counts);
    return most > 3 * least;
}

Setting metric(Beginning const& b) {
    std::string const key = "evaluation.metric";
    if (b.known_data && !b.known_data->validation)
        return {key, "loss", "there is no split to evaluate"};
    switch (b.task) {
    case TaskKind::classification:
        if (b.known_data && unbalanced(b.known_data->label_counts))
            return {key, "f1", "mean over classes, since some have over 3 times as many samples"};
        return {key, "accuracy", "chooses the best checkpoint"};
    case TaskKind::multi_label:
    case TaskKind::token_classification:
    case TaskKind::question_answering: return {key, "f1", "chooses the best checkpoint"};
    case TaskKind::regression: return {key, "mse", "chooses the best checkpoint"};
    case TaskKind::language_modeling:
    case TaskKind::generation:
    case TaskKind::masked_language_modeling: break;
    }
    return {key, "loss", "chooses the best checkpoint"};
}

Setting patience(Beginning const& b, std::string const& epochs) {
    bool const evaluated = !b.known_data || b.known_data->validation;
    bool const many = std::stod(epochs) > 5;
    return {"evaluation.patience", evaluated && many ? "3" : "0",
            evaluated && many ? "evaluations, one an epoch, without improvement: then it stops"
                              : "0: it never stops early"};
}

/// A rank is to have one micro-batch of a step if it fits.
Setting micro_batch(Beginning const& b, std::int64_t batch) {
    std::string const key = "batch.tokens_per_micro_batch";
    if (!b.known_data)
        return {key, "2048", "what is computed at a time: less where memory is short"};
    auto const& data = *b.known_data;
    std::int64_t const least = std::max<std::int64_t>(data.longest, 64),
                       step = data.tokens * batch / (data.samples * b.ranks),
                       tokens = std::clamp(step, least, std::max<std::int64_t>(least, 2048));
    return {key, std::to_string((tokens + 63) / 64 * 64),
            fmt::format("a step has about {} tokens on each of {}; the longest sample has {}", step,
                        cluster::counted(b.ranks, "rank"), data.longest)};
}

void add_layout(Beginning const& b, std::vector<Setting>& settings) {
    bool const large = parameters_of(b) >= 1000 * kMillion;
    settings.push_back(
        {"parallel.zero", large ? "3" : "0",
         large ? "Rajbhandari et al. 2020 (ZeRO), section 5.3: 16 bytes a parameter, divided over "
                 "the ranks"
               : "every rank has the whole state, 16 bytes a parameter: Rajbhandari et al. 2020 "
                 "(ZeRO), section 3.1"});
    settings.push_back(
        {"parallel.recompute", large ? "full" : "none",
         large ? "Chen et al. 2016 (sublinear memory): activations are computed twice, not kept"
               : "none, while activations fit the memory; full keeps the least"});
    settings.push_back({"numerics.compute", "fp32",
                        "on CPUs the fastest; on GPUs bf16 with weights kept in float32: "
                        "Micikevicius et al. 2018 (mixed precision), section 3.1"});
}

} // namespace

std::vector<Setting> starting_point(Beginning const& b) {
    Setting const size = batch(b);
    std::int64_t const samples = std::stoll(size.value);
    Setting const length = epochs(b, samples);
    std::vector<Setting> settings;
    add_layout(b, settings);
    settings.insert(settings.end(), {size,
                                     micro_batch(b, samples),
                                     learning_rate(b),
                                     weight_decay(b),
                                     {"optimizer.clip", "1.0",
                                      "github.com/google-research/bert, optimization.py, and "
                                      "Touvron et al. 2023 (Llama 2), section 2.2: 1.0"},
                                     schedule(recipe_of(b)),
                                     warmup(b),
                                     length,
                                     metric(b),
                                     patience(b, length.value)});
    if (b.task == TaskKind::masked_language_modeling)
        settings.insert(settings.begin(), {"data.mask_probability", "0.15",
                                           "Devlin et al. 2019 (BERT), section 3.1: 15 %"});
    return settings;
}

} // namespace trireme::launch
