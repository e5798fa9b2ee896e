#include "framework/config/foreign_keys.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "cluster/nearest.hpp"
#include "framework/config/config.hpp"

namespace trireme::framework::config {

namespace {

using Pair = std::pair<char const*, char const*>;

constexpr char const* kWholeStep = "batch.global";
constexpr std::array kNames{
    // over all ranks; micro-batches follow from batch.tokens_per_micro_batch
    Pair{"per_device_train_batch_size", kWholeStep},
    Pair{"per_gpu_train_batch_size", kWholeStep},
    Pair{"train_batch_size", kWholeStep},
    Pair{"train_micro_batch_size_per_gpu", kWholeStep},
    Pair{"global_batch_size", kWholeStep},
    Pair{"local_batch_size", kWholeStep},
    Pair{"batch_size", kWholeStep},
    Pair{"gradient_accumulation_steps", kWholeStep},
    Pair{"micro_batch_size", "batch.tokens_per_micro_batch"},
    Pair{"lr", "optimizer.learning_rate"},
    Pair{"max_lr", "optimizer.learning_rate"},
    Pair{"lr_scheduler_type", "optimizer.schedule"},
    Pair{"lr_decay_style", "optimizer.schedule"},
    Pair{"lr_scheduler", "optimizer.schedule"},
    Pair{"min_lr", "optimizer.final_fraction"},
    Pair{"warmup_ratio", "optimizer.warmup"},
    Pair{"warmup_steps", "optimizer.warmup"},
    Pair{"lr_warmup_iters", "optimizer.warmup"},
    Pair{"lr_warmup_fraction", "optimizer.warmup"},
    Pair{"adam_beta1", "optimizer.beta1"},
    Pair{"adam_beta2", "optimizer.beta2"},
    Pair{"adam_epsilon", "optimizer.epsilon"},
    Pair{"adam_eps", "optimizer.epsilon"},
    Pair{"eps", "optimizer.epsilon"},
    Pair{"max_grad_norm", "optimizer.clip"},
    Pair{"clip_grad", "optimizer.clip"},
    Pair{"gradient_clipping", "optimizer.clip"},
    Pair{"max_norm", "optimizer.clip"},
    Pair{"freeze_layers", "optimizer.freeze"},
    Pair{"freeze_parameters", "optimizer.freeze"},
    Pair{"layerwise_decay", "optimizer.layer_decay"},
    Pair{"layerwise_learning_rate_decay", "optimizer.layer_decay"},
    Pair{"num_train_epochs", "train.epochs"},
    Pair{"num_epochs", "train.epochs"},
    Pair{"max_steps", "train.steps"},
    Pair{"train_iters", "train.steps"},
    Pair{"training_steps", "train.steps"},
    Pair{"bf16", "numerics.compute"},
    Pair{"fp16", "numerics.compute"},
    Pair{"torch_dtype", "numerics.compute"},
    Pair{"mixed_precision", "numerics.compute"},
    Pair{"full_determinism", "numerics.mode"},
    Pair{"gradient_checkpointing", "parallel.recompute"},
    Pair{"activation_checkpoint", "parallel.recompute"},
    Pair{"activation_checkpointing", "parallel.recompute"},
    Pair{"recompute_granularity", "parallel.recompute"},
    Pair{"recompute_activations", "parallel.recompute"},
    Pair{"tensor_model_parallel_size", "parallel.tensor"},
    Pair{"tensor_parallel_degree", "parallel.tensor"},
    Pair{"tensor_parallel_size", "parallel.tensor"},
    Pair{"tp_size", "parallel.tensor"},
    Pair{"tp", "parallel.tensor"},
    Pair{"pipeline_model_parallel_size", "parallel.pipeline"},
    Pair{"pipeline_parallel_degree", "parallel.pipeline"},
    Pair{"pipeline_parallel_size", "parallel.pipeline"},
    Pair{"pp_size", "parallel.pipeline"},
    Pair{"pp", "parallel.pipeline"},
    Pair{"pipeline_parallel_schedule", "parallel.schedule"},
    Pair{"num_layers_per_virtual_pipeline_stage", "parallel.virtual_stages"},
    Pair{"context_parallel_size", "parallel.context"},
    Pair{"context_parallel_degree", "parallel.context"},
    Pair{"data_parallel_shard_degree", "parallel.shard"},
    Pair{"data_parallel_replicate_degree", "parallel.replicate"},
    Pair{"fsdp", "parallel.zero"},
    Pair{"deepspeed", "parallel.zero"},
    Pair{"zero_optimization", "parallel.zero"},
    Pair{"zero_stage", "parallel.zero"},
    Pair{"use_distributed_optimizer", "parallel.zero"},
    Pair{"offload_optimizer", "parallel.offload"},
    Pair{"optimizer_cpu_offload", "parallel.offload"},
    Pair{"eval_steps", "evaluation.every"},
    Pair{"eval_strategy", "evaluation.every"},
    Pair{"evaluation_strategy", "evaluation.every"},
    Pair{"eval_interval", "evaluation.every"},
    Pair{"metric_for_best_model", "evaluation.metric"},
    Pair{"early_stopping_patience", "evaluation.patience"},
    Pair{"save_steps", "checkpoint.every"},
    Pair{"save_strategy", "checkpoint.every"},
    Pair{"save_interval", "checkpoint.every"},
    Pair{"save_total_limit", "checkpoint.keep_last"},
    Pair{"keep_latest_k", "checkpoint.keep_last"},
    Pair{"load_best_model_at_end", "checkpoint.keep_best"},
    Pair{"async_save", "checkpoint.async"},
    Pair{"async_mode", "checkpoint.async"},
    Pair{"output_dir", "run"},
    Pair{"save", "run"},
    Pair{"dump_folder", "run"},
    Pair{"model_name_or_path", "model.path"},
    Pair{"pretrained_checkpoint", "model.path"},
    Pair{"hf_assets_path", "model.path"},
    Pair{"dataset_name", "data.path"},
    Pair{"dataset_path", "data.path"},
    Pair{"train_file", "data.path"},
    Pair{"data_path", "data.path"},
    Pair{"hidden_dropout_prob", "model.hidden_dropout"},
    Pair{"attention_probs_dropout_prob", "model.attention_dropout"},
    Pair{"comm_timeout", "guard.deadline"},
    Pair{"ddp_timeout", "guard.deadline"},
    Pair{"distributed_timeout_minutes", "guard.deadline"},
};

std::string last_part(std::string const& key) {
    return key.substr(key.rfind('.') + 1);
}

} // namespace

std::string our_name_for(std::string word) {
    word.erase(0, word.find_first_not_of('-'));
    std::ranges::replace(word, '-', '_');
    word = last_part(word);
    auto const* const found =
        std::ranges::find(kNames, word, [](Pair const& p) { return std::string(p.first); });
    if (found != kNames.end()) return found->second;
    // a name of ours without its section, or in the wrong one
    for (auto const& value : list_values({}))
        if (last_part(value.key) == word && value.key != word) return value.key;
    return "";
}

std::string suggest_key(std::string const& prefix, std::string const& word,
                        std::vector<std::string> const& known) {
    if (cluster::nearest(word, known)) return cluster::suggestion(word, known, prefix);
    std::string const name = our_name_for(word);
    return name.empty() || name == prefix + word ? ";" : "; did you mean " + name + "?";
}

} // namespace trireme::framework::config
