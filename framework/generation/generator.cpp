#include "framework/generation/generator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cluster/error.hpp"
#include "framework/generation/kv_cache.hpp"

namespace trireme::framework::generation {

namespace {

/// A text that is being continued; `text` is the prompt and what was chosen so far.
struct Running {
    std::vector<std::int32_t> text;
    std::int64_t limit = 0;          ///< limit of new tokens
    std::int64_t positions_left = 0; ///< of the model after the prompt
    Completion done;
};

/// Tokens [first, end) of each text that goes on, packed; the sample id is the place of the text in
/// the batch.
data::MicroBatch pack(std::vector<Running> const& batch, std::vector<std::size_t> const& live,
                      bool last_only) {
    data::MicroBatch micro_batch;
    micro_batch.offsets.push_back(0);
    for (std::size_t const i : live) {
        auto const& text = batch[i].text;
        for (std::size_t t = last_only ? text.size() - 1 : 0; t < text.size(); ++t) {
            micro_batch.tokens.push_back(text[t]);
            micro_batch.positions.push_back(static_cast<std::int32_t>(t));
        }
        micro_batch.offsets.push_back(micro_batch.token_count());
        micro_batch.sample_ids.push_back(static_cast<std::int64_t>(i));
    }
    micro_batch.segments.assign(micro_batch.tokens.size(), 0);
    return micro_batch;
}

/// Adds the next token; false when the text ended with it.
bool advance(Running& r, std::span<float const> logits, Options const& options,
             Listener const& listener) {
    Choice const choice = choose(logits, r.text, r.done.index, options.sampling);
    r.done.log_probability += choice.log_probability;
    if (std::ranges::find(options.stops, choice.token) != options.stops.end()) return false;
    r.text.push_back(choice.token);
    r.done.tokens.push_back(choice.token);
    if (listener) listener(r.done.index, choice.token);
    if (static_cast<std::int64_t>(r.done.tokens.size()) < r.limit) return true;
    r.done.ending =
        r.positions_left < options.max_new_tokens ? Ending::max_positions : Ending::max_new_tokens;
    return false;
}

/// Adds a token to each text of `live`, which has a row of `logits`. Returns those that go on.
std::vector<std::size_t> advance_all(std::vector<Running>& batch,
                                     std::vector<std::size_t> const& live, at::Tensor const& logits,
                                     Options const& options, Listener const& listener) {
    auto const width = static_cast<std::size_t>(logits.size(1));
    std::vector<std::size_t> going_on;
    for (std::size_t row = 0; row < live.size(); ++row) {
        std::span<float const> const of_row(logits.const_data_ptr<float>() + row * width, width);
        if (advance(batch[live[row]], of_row, options, listener)) going_on.push_back(live[row]);
    }
    return going_on;
}

/// Tells whether the angles of all tokens of a text are others now than those that a cache holds,
/// as it has just grown longer than the model's short context.
bool is_read_anew(Running const& r, model::Config const& model) {
    std::int64_t const context = model.short_context();
    return context > 0 && std::ssize(r.text) == context + 1;
}
} // namespace

char const* name_of(Ending ending) {
    switch (ending) {
    case Ending::stop: return "stop";
    case Ending::max_new_tokens: return "max_new_tokens";
    case Ending::max_positions: return "max_positions";
    }
    return "";
}

static void check_prompt(Prompt const& p, model::Config const& model) {
    auto const length = static_cast<std::int64_t>(p.tokens.size());
    if (length < 1 || length > model.max_positions)
        throw cluster::InputError(
            fmt::format("{}: prompt: {} tokens: legal: 1 to {}, the positions of the model", p.name,
                        length, model.max_positions));
    for (auto const token : p.tokens)
        if (token < 0 || token >= model.vocabulary)
            throw cluster::InputError(
                fmt::format("{}: prompt: token {}: legal: 0 to {}, the model's vocabulary", p.name,
                            token, model.vocabulary - 1));
}

void check_prompts(std::vector<Prompt> const& prompts, Options const& options,
                   model::Config const& model) {
    check_sampling(options.sampling);
    if (options.max_new_tokens < 1)
        throw cluster::InputError(fmt::format("--max-new-tokens: {}: legal: a whole number >= 1",
                                              options.max_new_tokens));
    if (options.batch < 1)
        throw cluster::InputError(
            fmt::format("--batch: {}: legal: a whole number >= 1", options.batch));
    for (auto const& p : prompts) check_prompt(p, model);
}

/// Returns the texts that begin with the prompts.
static std::vector<Running> begin(std::vector<Prompt> const& prompts, Options const& options,
                                  model::Config const& model) {
    std::vector<Running> batch;
    for (auto const& p : prompts) {
        auto const length = static_cast<std::int64_t>(p.tokens.size());
        // the last token needs no position: nothing follows it
        std::int64_t const left = model.max_positions - length + 1;
        batch.push_back(
            {p.tokens, std::min(options.max_new_tokens, left), left, {.index = p.index}});
    }
    return batch;
}

/// Returns the tokens that a cache must hold of each text.
static std::vector<std::int64_t> capacities_of(std::vector<Running> const& batch) {
    std::vector<std::int64_t> capacities;
    for (auto const& r : batch) capacities.push_back(std::ssize(r.text) + r.limit - 1);
    return capacities;
}
static std::vector<Completion> completions_of(std::vector<Running> batch) {
    std::vector<Completion> out;
    for (auto& r : batch) out.push_back(std::move(r.done));
    return out;
}

std::vector<Completion> Generator::complete(std::vector<Prompt> const& prompts,
                                            Options const& options,
                                            Listener const& listener) const {
    std::vector<Running> batch = begin(prompts, options, model_.config());
    KvCache cache(model_.config(), capacities_of(batch));
    std::vector<std::size_t> live(batch.size());
    std::iota(live.begin(), live.end(), 0);
    auto const go_on = [&](std::vector<std::size_t> const& texts, bool last_only) {
        if (texts.empty()) return texts;
        model::Pass pass =
            model::make_pass(pack(batch, texts, options.cache && last_only), false, 0, 0, 1.0);
        if (options.cache) pass.cache = &cache;
        return advance_all(batch, texts, model_.next_logits(pass), options, listener);
    };
    for (bool first = true; !live.empty(); first = false) {
        auto const others = std::stable_partition(live.begin(), live.end(), [&](std::size_t i) {
            return first || is_read_anew(batch[i], model_.config());
        });
        auto const rest = go_on({others, live.end()}, true);
        live = go_on({live.begin(), others}, false);
        live.insert(live.end(), rest.begin(), rest.end());
        std::ranges::sort(live);
    }
    return completions_of(std::move(batch));
}

/// Returns the labels of prompts with their references: the prompts' own tokens are not trained.
static std::vector<std::int32_t>
labels_of(std::vector<Prompt> const& prompts,
          std::vector<std::vector<std::int32_t>> const& references) {
    std::vector<std::int32_t> labels;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        labels.insert(labels.end(), prompts[i].tokens.size() - 1, data::kIgnoredLabel);
        labels.insert(labels.end(), references[i].begin(), references[i].end());
    }
    return labels;
}

std::vector<ReferenceLoss>
Generator::losses(std::vector<Prompt> const& prompts,
                  std::vector<std::vector<std::int32_t>> const& references) const {
    std::vector<Running> batch;
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        all.push_back(i);
        Running& r = batch.emplace_back(Running{.text = prompts[i].tokens});
        // the last is a label only
        r.text.insert(r.text.end(), references[i].begin(), references[i].end() - 1);
    }
    data::MicroBatch micro_batch = pack(batch, all, false);
    micro_batch.columns.append(data::kTokenLabels, 1, labels_of(prompts, references));
    std::vector<ReferenceLoss> out;
    for (auto const& r : model_.results(model::make_pass(std::move(micro_batch), false, 0, 0, 1.0)))
        out.push_back({r.loss, r.trained});
    return out;
}

} // namespace trireme::framework::generation
