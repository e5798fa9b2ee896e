#include "framework/parity/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "data/masked_dataset.hpp"
#include "data/memory_dataset.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parity/drawn_samples.hpp"
#include "framework/parity/reference.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/weights.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::parity {

namespace {

constexpr std::int64_t kLayers = 4, kHeadSize = 6;
constexpr double kDropout = 0.1;

/// Chooses heads that share keys in the same way: all heads alike, one kv head for all, pairs, or
/// larger groups. All but one kv head for all can be laid on 2, 4 and 8 tensor ranks; heads that
/// are alike, or share one, divide unevenly.
void set_heads(model::Config& tiny, model::Config const& full) {
    bool const alike = full.kv_heads == full.heads, single = full.kv_heads == 1,
               pairs = full.heads == 2 * full.kv_heads;
    tiny.heads = single ? 3 : alike ? 15 : pairs ? 8 : 14;
    tiny.kv_heads = single ? 1 : alike ? 15 : pairs ? 4 : 2;
    tiny.head_size = kHeadSize;
    if (full.rotary_size > 0) tiny.rotary_size = kHeadSize - 2;
}

template <typename T>
std::vector<T> evenly_chosen(std::vector<T> const& values) {
    std::vector<T> chosen;
    for (std::size_t i = 0; i < kLayers && !values.empty(); ++i)
        chosen.push_back(values[i * values.size() / kLayers]);
    return chosen;
}

/// Random weights in which nothing is special: no zero biases, no norms of one.
Tensors initial_weights(model::Config const& model, std::uint64_t seed) {
    auto specs = model::parameter_specs(model);
    std::map<std::string, double> base;
    for (auto& spec : specs) {
        base[spec.name] = parallel::start_of(spec);
        if (spec.initial != parallel::Initial::normal) spec.deviation = 0.1;
        spec.initial = parallel::Initial::normal;
    }
    parallel::ParameterStore store(std::move(specs), {.gradients = false});
    Tensors weights;
    for (auto const& p : store.parameters()) {
        store.initialize(*p, seed);
        weights[p->spec().name] = p->master() + base[p->spec().name];
    }
    return weights;
}

} // namespace

/// Makes windows, scales and rotary embeddings fit the few layers and positions.
static void set_positions(model::Config& tiny, model::Config const& full) {
    tiny.max_positions = 24;
    tiny.windows = evenly_chosen(full.windows);
    for (auto& w : tiny.windows) w = w > 0 ? 5 : 0;
    tiny.attention_scale = evenly_chosen(full.attention_scale);
    tiny.layer_rotary = evenly_chosen(full.layer_rotary);
    if (tiny.rotary.original_context > 0) tiny.rotary.original_context = 12;
    auto const pairs =
        static_cast<std::size_t>((tiny.rotary_size ? tiny.rotary_size : tiny.head_size) / 2);
    for (auto* factors : {&tiny.rotary.factors, &tiny.rotary.long_factors})
        if (!factors->empty()) factors->resize(pairs, 2.0);
}

model::Config tiny_model(model::Config const& full) {
    model::Config tiny = full;
    tiny.source_json.clear();
    tiny.layers = kLayers;
    set_heads(tiny, full);
    tiny.hidden = 47;
    tiny.feed_forward = 83;
    tiny.vocabulary = 101;
    tiny.token_types = full.token_types > 0 ? 2 : 0;
    set_positions(tiny, full);
    tiny.position_offset = std::min<std::int64_t>(full.position_offset, 2);
    tiny.embedding_dropout = tiny.hidden_dropout = tiny.attention_dropout =
        tiny.classifier_dropout = kDropout;
    tiny.initializer_range = 0.2;
    if (!model::traits_of(tiny.head).of_vocabulary()) tiny.labels = {"0", "1", "2"};
    return tiny;
}

std::string shape_class(model::Config const& m) {
    auto const windowed = std::ranges::count_if(m.windows, [](auto w) { return w > 0; });
    auto const yes = [](bool b, char const* word) {
        return b ? fmt::format(" {}", word) : std::string();
    };
    model::Config tiny;
    set_heads(tiny, m);
    return fmt::format("{} {} {} {}", pretrained::entry_of(m.family).model_type,
                       model::traits_of(m.head).name,
                       m.norm == model::Norm::rms ? "rms-norm" : "layer-norm",
                       m.positions == model::Positions::rotary ? "rotary" : "learned-positions") +
           fmt::format(" heads-{}/{}", tiny.heads, tiny.kv_heads) +
           yes(m.norm_first, "norm-first") +
           yes(m.query_key_norm == model::QueryKeyNorm::heads, "head-norms") +
           yes(m.query_key_norm == model::QueryKeyNorm::whole, "projection-norms") +
           yes(m.parallel_residual, "parallel") + yes(m.gated, "gated") +
           yes(m.attention_bias, "attention-bias") + yes(m.output_bias, "output-bias") +
           yes(m.feed_forward_bias, "feed-forward-bias") + yes(m.input_major, "input-major") +
           yes(m.causal, "causal") + yes(!m.class_weights.empty(), "class-weights") +
           yes(m.token_types > 0, "segments") +
           yes(m.tied_embeddings && model::traits_of(m.head).of_vocabulary(), "tied") +
           yes(windowed > 0, windowed == std::ssize(m.windows) ? "windows" : "some-windows");
}

std::shared_ptr<data::Dataset const> synthetic_data(data::TaskKind task,
                                                    std::vector<std::string> const& labels,
                                                    std::int64_t vocabulary, std::uint64_t seed) {
    auto set = data::make_memory_dataset(
        task, drawn_samples(task, std::ssize(labels), vocabulary, seed), labels, vocabulary);
    if (task != data::TaskKind::masked_language_modeling) return set;
    auto const mask = static_cast<std::int32_t>(vocabulary - 1);
    return data::make_masked_dataset(std::move(set), {.seed = seed, .mask_token = mask});
}

data::StepPlan Problem::plan(std::int64_t tokens_per_micro_batch, std::int64_t step) const {
    return data::plan_step(*data, {samples, tokens_per_micro_batch, 1}, seed,
                           (first_step + step) * samples);
}

Problem Problem::without_dropout() const {
    Problem other = *this;
    auto& m = other.model;
    m.embedding_dropout = m.hidden_dropout = m.attention_dropout = m.classifier_dropout = 0;
    return other;
}

std::vector<std::int64_t> const& packings() {
    static std::vector<std::int64_t> const limits{12, 40};
    return limits;
}

model::Config read_full_model(config::Config const& config) {
    // how many classes there are changes no layout
    model::Config model = inputs::read_model_config(config, {"0", "1", "2"});
    if (!config.train.class_weights.none() && model.head == model::HeadKind::classification)
        model.class_weights = {0.5, 2, 1.25}; // whichever they are
    return model;
}

namespace {

/// Sets rates at which three steps show every mistake.
void make_telling(optimizer::Section& optimizer) {
    optimizer.learning_rate = 1e-2;
    // in three steps others do not fall
    if (optimizer.schedule != optimizer::RateSchedule::cosine)
        optimizer.schedule = optimizer::RateSchedule::linear;
    if (optimizer.layer_decay != 1) optimizer.layer_decay = 0.8; // the lowest move by a third
    optimizer.warmup = 0; // a step without a rate would show nothing
    // step by step three quarters, or less, of the rate of the one before
    optimizer.final_fraction = 0.25;
    // a fifth of a full step for a weight of 0.1: a wrong one is seen
    optimizer.weight_decay = 2;
    optimizer.clip = 0;
}

} // namespace

/// Sets the clip and epsilon by the norm of the first gradient, so that both take part.
static void fit_to_norm(Problem& problem) {
    std::int64_t elements = 0;
    for (auto const& [name, w] : problem.initial) elements += w.numel();
    Problem once = problem;
    once.steps = 1;
    problem.optimizer.clip = 0.5 * exact_trace(once).norms.at(0);
    // A small epsilon makes the update the sign of the gradient: whole steps out of the rounding of
    // zeros, whatever the scale of the gradients.
    problem.optimizer.epsilon = problem.optimizer.clip / std::sqrt(static_cast<double>(elements));
}

Problem make_problem(model::Config const& full, config::Config const& config) {
    model::Config const model = tiny_model(full);
    data::TaskSchema const& task = data::task_named(config.task, "task");
    Problem problem{
        .model = model,
        .data = synthetic_data(task.kind,
                               task.least_labels > 0 ? model.labels : std::vector<std::string>{},
                               model.vocabulary, config.seed),
        .numerics = config.numerics,
        .optimizer = config.optimizer,
        .seed = config.seed,
        .initial = initial_weights(model, config.seed)};
    problem.numerics.threads = 1;
    make_telling(problem.optimizer);
    fit_to_norm(problem);
    return problem;
}

} // namespace trireme::framework::parity
