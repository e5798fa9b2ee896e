// Decoding: against transformers' completions, and the same text whatever is computed together.
#include "framework/generation/generator.hpp"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "cluster/file.hpp"
#include "framework/generation/kv_cache.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/jobs/generate.hpp"
#include "framework/pretrained/weights.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using Tokens = std::vector<std::int32_t>;

std::vector<std::string> decoders() {
    std::vector<std::string> names;
    for (auto const& entry : std::filesystem::directory_iterator(TRIREME_GOLDEN))
        if (std::filesystem::exists(entry.path() / "generation.json"))
            names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
}

struct Loaded {
    nlohmann::json golden;
    config::Config config;
    model::Config model;
    parallel::ParameterStore store;
    model::TransformerStage stage;
    std::unique_ptr<cluster::Communicator> alone = cluster::make_fake_world(0, 1, {});
    generation::Relay relay;
    generation::Generator generator;
    std::vector<generation::Prompt> prompts;

    explicit Loaded(std::string const& name, at::ScalarType compute = at::kFloat)
        : golden(nlohmann::json::parse(
              cluster::read_file(std::string(TRIREME_GOLDEN) + "/" + name + "/generation.json"))),
          config(config_of(name)), model(inputs::read_model_config(config, {})),
          store(model::parameter_specs(model), {.compute = compute, .gradients = false}),
          stage(model, store), relay(stage, model, *alone), generator(relay) {
        pretrained::load_weights(config.model, config.seed, model, store);
        store.refresh_compute();
        for (auto const& p : golden["prompts"])
            prompts.push_back({static_cast<std::int64_t>(prompts.size()), p.get<Tokens>(), "test"});
    }
    static config::Config config_of(std::string const& name) {
        config::Config config;
        config.task = "generation";
        config.model.path = std::string(TRIREME_GOLDEN) + "/" + name;
        return config;
    }
    /// All prompts in groups of `batch`.
    std::vector<generation::Completion> complete(generation::Options const& options,
                                                 std::size_t batch) const {
        std::vector<generation::Completion> all;
        for (std::size_t first = 0; first < prompts.size(); first += batch) {
            std::vector<generation::Prompt> const group(
                prompts.begin() + static_cast<std::ptrdiff_t>(first),
                prompts.begin() +
                    static_cast<std::ptrdiff_t>(std::min(first + batch, prompts.size())));
            for (auto& c : generator.complete(group, options)) all.push_back(std::move(c));
        }
        return all;
    }
};

std::vector<Tokens> tokens_of(std::vector<generation::Completion> const& completions) {
    std::vector<Tokens> tokens;
    for (auto const& c : completions) tokens.push_back(c.tokens);
    return tokens;
}

class Decoder : public testing::TestWithParam<std::string> {};

TEST(Decoders, EveryFamilyHasGoldenCompletions) {
    auto const names = decoders();
    for (char const* name : {"gpt2", "llama", "llama3", "mistral", "qwen2", "qwen3", "ministral",
                             "phi3", "granite", "olmo2", "olmo3", "smollm3", "gemma2", "gemma3",
                             "gpt-neox", "apertus", "phi3-longrope-long"})
        EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
}

TEST_P(Decoder, EqualsTransformersTokenForToken) {
    Loaded const loaded(GetParam());
    ASSERT_EQ(loaded.prompts.size(), 20U);
    ASSERT_GT(loaded.golden["margin"].get<double>(), 1e-3);
    auto const greedy = loaded.golden["greedy"].get<std::vector<Tokens>>();
    auto const penalized = loaded.golden["penalized"].get<std::vector<Tokens>>();
    generation::Options options{.max_new_tokens = 8};
    EXPECT_EQ(tokens_of(loaded.complete(options, 1)), greedy) << "one by one";
    EXPECT_EQ(tokens_of(loaded.complete(options, 7)), greedy)
        << "seven together, of different lengths";
    options.cache = false;
    EXPECT_EQ(tokens_of(loaded.complete(options, 7)), greedy) << "without the cache";
    options = {.max_new_tokens = 8, .sampling = {.repetition_penalty = loaded.golden["penalty"]}};
    EXPECT_EQ(tokens_of(loaded.complete(options, 7)), penalized);
    EXPECT_NE(penalized, greedy);
}

TEST_P(Decoder, SamplesDoNotDependOnTheBatchOrTheCache) {
    Loaded const loaded(GetParam());
    generation::Options options{.max_new_tokens = 8,
                                .sampling = {.temperature = 0.9, .top_k = 30, .top_p = 0.95}};
    auto const wanted = tokens_of(loaded.complete(options, 1));
    EXPECT_EQ(tokens_of(loaded.complete(options, 7)), wanted);
    EXPECT_EQ(tokens_of(loaded.complete(options, 20)), wanted);
    options.cache = false;
    EXPECT_EQ(tokens_of(loaded.complete(options, 7)), wanted);
    options.sampling.seed = 2;
    EXPECT_NE(tokens_of(loaded.complete(options, 7)), wanted);
}

/// Logits after each token of a text, read at once or through a cache.
TEST_P(Decoder, CacheGivesTheLogitsOfTheWholeText) {
    for (auto const compute : {at::kFloat, at::kDouble}) {
        Loaded const loaded(GetParam(), compute);
        std::int64_t const length = std::min<std::int64_t>(16, loaded.model.max_positions);
        generation::KvCache cache(loaded.model, {length});
        data::MicroBatch whole;
        whole.sample_ids = {0};
        for (std::int64_t t = 0; t < length; ++t) {
            whole.tokens.push_back(
                static_cast<std::int32_t>((t * 31 + 7) % loaded.model.vocabulary));
            whole.positions.push_back(static_cast<std::int32_t>(t));
            whole.segments.push_back(0);
            whole.offsets = {0, t + 1};
            data::MicroBatch part = whole;
            // The first three are the prompt; a text that outgrows a short context is read anew.
            std::int64_t const context = loaded.model.short_context();
            if (t >= 3 && (context == 0 || t != context)) {
                part.tokens = {whole.tokens.back()};
                part.positions = {whole.positions.back()};
                part.segments = {0};
                part.offsets = {0, 1};
            }
            model::Pass const at_once = model::make_pass(whole, false, 0, 0, 1.0);
            model::Pass cached = model::make_pass(part, false, 0, 0, 1.0);
            cached.cache = &cache;
            at::Tensor const difference =
                loaded.relay.next_logits(at_once) - loaded.relay.next_logits(cached);
            EXPECT_LT(difference.abs().max().item<double>(), compute == at::kDouble ? 1e-12 : 1e-5)
                << "token " << t;
        }
    }
}

TEST_P(Decoder, EndsAtAnyOfTheStopTokensAndAtTheLastPosition) {
    Loaded const loaded(GetParam());
    auto const greedy = loaded.golden["greedy"].get<std::vector<Tokens>>();
    generation::Options const options{.max_new_tokens = 8, .stops = {greedy[0][3], greedy[1][5]}};
    auto const completions = loaded.complete(options, 7);
    for (std::size_t i = 0; i < greedy.size(); ++i) {
        auto const stop = std::ranges::find_if(
            greedy[i], [&](auto t) { return t == options.stops[0] || t == options.stops[1]; });
        EXPECT_EQ(completions[i].tokens, Tokens(greedy[i].begin(), stop));
        EXPECT_EQ(completions[i].ending, stop == greedy[i].end()
                                             ? generation::Ending::max_new_tokens
                                             : generation::Ending::stop);
    }
    EXPECT_EQ(completions[0].ending, generation::Ending::stop);
    Loaded cut(GetParam());
    cut.prompts.resize(3);
    for (auto const& c : cut.complete({.max_new_tokens = 10000}, 3)) {
        EXPECT_EQ(c.ending, generation::Ending::max_positions);
        EXPECT_EQ(c.tokens.size() + cut.prompts[static_cast<std::size_t>(c.index)].tokens.size(),
                  static_cast<std::size_t>(cut.model.max_positions) + 1);
    }
}

TEST_P(Decoder, LogProbabilityOfGreedyTokensIsTheirLossAsAReference) {
    Loaded loaded(GetParam());
    loaded.prompts.resize(7);
    auto const completions = loaded.complete({.max_new_tokens = 8}, 7);
    auto const losses = loaded.generator.losses(loaded.prompts, tokens_of(completions));
    for (std::size_t i = 0; i < losses.size(); ++i) {
        EXPECT_EQ(losses[i].tokens, 8);
        // Tokens of a text that outgrew a short context were chosen by angles that it has no more.
        auto const length = std::ssize(loaded.prompts[i].tokens);
        std::int64_t const context = loaded.model.short_context();
        if (length <= context && length + 7 > context) continue;
        EXPECT_NEAR(losses[i].loss, -completions[i].log_probability, 1e-4);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, Decoder, testing::ValuesIn(decoders()), [](auto const& parameter) {
    std::string name = parameter.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(Generator, RefusesPromptsThatDoNotFit) {
    Loaded const loaded("llama");
    auto const error_of = [&](Tokens const& tokens,
                              generation::Options const& options) -> std::string {
        try {
            generation::check_prompts({{0, tokens, "file.jsonl:3"}}, options, loaded.model);
        } catch (cluster::InputError const& error) {
            return error.what();
        }
        return "no error";
    };
    EXPECT_EQ(error_of(Tokens(16, 5), {}), "no error");
    EXPECT_EQ(error_of(Tokens(17, 5), {}),
              "file.jsonl:3: prompt: 17 tokens: legal: 1 to 16, the positions of the model");
    EXPECT_EQ(error_of({}, {}),
              "file.jsonl:3: prompt: 0 tokens: legal: 1 to 16, the positions of the model");
    EXPECT_EQ(error_of({97}, {}),
              "file.jsonl:3: prompt: token 97: legal: 0 to 96, the model's vocabulary");
    EXPECT_EQ(error_of({1}, {.max_new_tokens = 0}),
              "--max-new-tokens: 0: legal: a whole number >= 1");
}

TEST(Generator, StopTokensAreThoseOfTheGenerationConfigFirst) {
    test::TemporaryFolder const folder;
    EXPECT_EQ(generation::stop_tokens(folder.path()), Tokens{});
    cluster::write_file(folder.path() + "/config.json", R"({"eos_token_id": 2})");
    EXPECT_EQ(generation::stop_tokens(folder.path()), Tokens{2});
    cluster::write_file(folder.path() + "/generation_config.json", R"({"eos_token_id": [5, 7]})");
    EXPECT_EQ(generation::stop_tokens(folder.path()), (Tokens{5, 7}));
    cluster::write_file(folder.path() + "/generation_config.json", R"({"eos_token_id": "x"})");
    EXPECT_THROW(generation::stop_tokens(folder.path()), cluster::InputError);
}

} // namespace
} // namespace trireme::framework
