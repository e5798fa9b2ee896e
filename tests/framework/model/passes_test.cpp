// The language-model head hands out logits when asked, across its chunks, and makes none otherwise.
//
// Tests that no two dropout masks are alike: none of two seeds, steps, samples, layers or places,
// wherever a sample lies.
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "framework/model/layer_names.hpp"
#include "framework/model/ops.hpp"
#include "framework/model/transformer_stage.hpp"
#include "parallel/parameter_store.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::framework {
namespace {

constexpr std::int64_t kVocabulary = 100'003, kWidth = 4, kTokens = 50, kReal = 47;

/// Two samples, and a last segment that only fills up.
model::Pass two_samples() {
    data::MicroBatch micro_batch;
    micro_batch.tokens.assign(kTokens, 1);
    micro_batch.offsets = {0, 5, kReal, kTokens};
    micro_batch.sample_ids = {3, 8, -1};
    std::vector<std::int32_t> labels(kTokens, data::kIgnoredLabel);
    for (std::size_t t = 0; t < kReal; ++t) labels[t] = static_cast<std::int32_t>(2000 * t);
    micro_batch.columns.append(data::kTokenLabels, 1, labels);
    return model::make_pass(std::move(micro_batch), false, 0, 0, 1.0);
}

TEST(LanguageModelLogits, AreThoseOfEveryRealTokenAndOnlyWhenAskedFor) {
    parallel::ParameterStore store(
        {{.name = "head", .shape = {kVocabulary, kWidth}, .unit = "head", .deviation = 1}},
        {.gradients = false});
    store.initialize(store.at("head"), 5);
    at::Tensor const w = store.at("head").value();
    at::Tensor const x = at::sin(at::arange(kTokens * kWidth, at::kFloat)).view({kTokens, kWidth});
    model::Pass pass = two_samples();
    model::Results without, with;
    double const loss =
        model::language_model_loss(x, parallel::ParameterUse{store.at("head")}, pass, without)
            .item<double>();
    EXPECT_TRUE(without.logits.empty());
    pass.keep_logits = true;
    EXPECT_EQ(model::language_model_loss(x, parallel::ParameterUse{store.at("head")}, pass, with)
                  .item<double>(),
              loss);
    ASSERT_EQ(with.logits.size(), static_cast<std::size_t>(kReal * kVocabulary));
    at::Tensor const ours = at::from_blob(with.logits.data(), {kReal, kVocabulary}, at::kFloat);
    EXPECT_TRUE(at::allclose(ours, at::mm(x.narrow(0, 0, kReal), w.t()), 1e-5, 1e-6));
}

constexpr std::int64_t kSampleTokens = 6, kHidden = 24, kLayers = 3;

model::Config config_with(double hidden_dropout, double attention_dropout) {
    model::Config c;
    c.hidden = kHidden;
    c.layers = kLayers;
    c.heads = c.kv_heads = 3;
    c.head_size = 8;
    c.feed_forward = 16;
    c.vocabulary = 7;
    c.max_positions = kSampleTokens;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.embedding_dropout = c.hidden_dropout = hidden_dropout;
    c.attention_dropout = attention_dropout;
    return c;
}

/// Weights of 0, so that a layer adds its biases, dropped or kept: 1 where attention keeps it, 2
/// where the feed-forward layer does. Each query finds a 1 at every key that it sees alike:
/// attention adds the share that its mask keeps.
class ShownMasks {
  public:
    ShownMasks(double hidden_dropout, double attention_dropout)
        : ShownMasks(config_with(hidden_dropout, attention_dropout)) {}
    explicit ShownMasks(model::Config const& config)
        : config_(config),
          store_(model::parameter_specs(config_), {.compute = at::kDouble, .gradients = false}),
          stage_(config_, store_) {
        fill(model::embedding_names(config_).tokens, 1);
        for (std::int64_t i = 0; i < kLayers; ++i) {
            model::LayerNames const names = model::layer_names(config_, i);
            if (config.attention_dropout > 0) {
                fill(names.value.bias, 1);
                store_.at(names.output.weight).master().copy_(at::eye(kHidden, at::kDouble));
            } else {
                fill(names.output.bias, 1);
                fill(names.down.bias, 2);
            }
        }
    }

    /// Returns what each layer adds to the tokens of each sample, by name; `order` is that of the
    /// samples in the micro-batch.
    std::map<std::string, at::Tensor>
    of_step(std::int64_t step, std::vector<std::int64_t> const& order, std::uint64_t seed = 1) {
        stage_.load({pass_of(step, order, seed)});
        at::NoGradGuard const no_graph;
        std::map<std::string, at::Tensor> masks;
        at::Tensor x = at::zeros({1}, at::kDouble);
        for (std::int64_t block = 0; block <= kLayers; ++block) {
            at::Tensor const y = stage_.forward(static_cast<std::size_t>(block), x, 0);
            for (std::size_t i = 0; i < order.size(); ++i)
                masks[fmt::format("step {}, sample {}, block {}", step, order[i], block)] =
                    (block ? y - x : y)
                        .narrow(0, static_cast<std::int64_t>(i) * kSampleTokens, kSampleTokens)
                        .clone();
            x = y;
        }
        return masks;
    }

    at::Tensor last_layer(model::Pass const& pass) {
        stage_.load({pass});
        at::NoGradGuard const no_graph;
        at::Tensor x = at::zeros({1}, at::kDouble);
        for (std::int64_t block = 0; block <= kLayers; ++block)
            x = stage_.forward(static_cast<std::size_t>(block), x, 0);
        return x;
    }

    static model::Pass pass_of(std::int64_t step, std::vector<std::int64_t> const& order,
                               std::uint64_t seed = 1) {
        data::MicroBatch micro_batch;
        micro_batch.offsets.push_back(0);
        for (auto const sample : order) {
            for (std::int32_t t = 0; t < kSampleTokens; ++t) micro_batch.positions.push_back(t);
            micro_batch.tokens.resize(micro_batch.positions.size(), 3);
            micro_batch.offsets.push_back(micro_batch.token_count());
            micro_batch.sample_ids.push_back(sample);
        }
        micro_batch.segments.resize(micro_batch.tokens.size(), 0);
        micro_batch.columns.append(
            data::kTokenLabels, 1,
            std::vector<std::int32_t>(micro_batch.tokens.size(), data::kIgnoredLabel));
        return model::make_pass(std::move(micro_batch), true, seed, step, 1.0);
    }

  private:
    void fill(std::string const& name, double value) { store_.at(name).master().fill_(value); }

    model::Config config_;
    parallel::ParameterStore store_;
    model::TransformerStage stage_;
};

void expect_all_different(std::map<std::string, at::Tensor> const& masks) {
    for (auto a = masks.begin(); a != masks.end(); ++a)
        for (auto b = std::next(a); b != masks.end(); ++b)
            EXPECT_FALSE(a->second.allclose(b->second))
                << a->first << " and " << b->first << " share a mask";
}

/// Returns the masks of two steps and three samples.
std::map<std::string, at::Tensor> all_masks(ShownMasks& shown) {
    auto masks = shown.of_step(0, {4, 5, 900});
    masks.merge(shown.of_step(1, {4, 5, 900}));
    EXPECT_EQ(masks.size(), 2U * 3 * (kLayers + 1));
    return masks;
}

TEST(DropoutMasks, OfEmbeddingsAndLayersAreNeverAlike) {
    ShownMasks shown(0.5, 0);
    auto masks = all_masks(shown);
    std::map<std::string, at::Tensor> apart;
    for (auto const& [name, added] : masks) {
        if (name.ends_with("block 0")) {
            apart[name] = added > 0;
            continue;
        }
        // 2 where it is kept, and 4 of the feed-forward layer
        apart[name + ", attention"] = added.remainder(4) > 1;
        apart[name + ", feed forward"] = added > 3;
    }
    std::map<std::string, at::Tensor> numbers;
    for (auto const& [name, mask] : apart) {
        EXPECT_NEAR(mask.to(at::kDouble).mean().item<double>(), 0.5, 0.2) << name;
        numbers[name] = mask.to(at::kDouble);
        EXPECT_FALSE(mask[0].equal(mask[1])) << name << ": two positions share a mask";
    }
    EXPECT_EQ(numbers.size(), 2U * 3 * (2 * kLayers + 1));
    expect_all_different(numbers);
}

/// Whoever asks for hidden states gets those of all tokens, a classifier's head the last of each
/// sample: with the same masks.
TEST(DropoutMasks, OfTheLastLayerBelongToTheTokensThatAClassifierReads) {
    model::Config config = config_with(0.5, 0);
    config.head = model::HeadKind::classification;
    config.labels = {"no", "yes"};
    ShownMasks shown(config);
    model::BaseOutput states;
    model::Pass const pass = ShownMasks::pass_of(2, {7, 3, 900});
    model::Pass whole = pass;
    whole.base_output = &states;
    at::Tensor const chosen = shown.last_layer(pass), all = shown.last_layer(whole);
    ASSERT_EQ(all.size(0), 3 * kSampleTokens);
    at::Tensor const ends = at::arange(kSampleTokens - 1, 3 * kSampleTokens, kSampleTokens);
    EXPECT_TRUE(chosen.equal(all.index_select(0, ends)));
    test::ComposedPath const path;
    EXPECT_TRUE(shown.last_layer(pass).allclose(chosen));
}

TEST(DropoutMasks, OfAttentionAreNeverAlike) {
    ShownMasks shown(0, 0.5);
    auto masks = all_masks(shown);
    // no attention there
    std::erase_if(masks, [](auto const& found) { return found.first.ends_with("block 0"); });
    expect_all_different(masks);
}

TEST(DropoutMasks, OfTwoSeedsAreNeverAlike) {
    for (auto const& [hidden, attention] : {std::pair{0.5, 0.0}, {0.0, 0.5}}) {
        ShownMasks shown(hidden, attention);
        auto const one = shown.of_step(0, {4, 5}), two = shown.of_step(0, {4, 5}, 2);
        for (auto const& [name, mask] : one)
            EXPECT_EQ(mask.allclose(two.at(name)), hidden == 0 && name.ends_with("block 0"))
                << name;
    }
}

TEST(DropoutMasks, BelongToASampleWhereverItLies) {
    for (auto const& [hidden, attention] : {std::pair{0.5, 0.0}, {0.0, 0.5}}) {
        ShownMasks shown(hidden, attention);
        auto const together = shown.of_step(2, {7, 3}), turned = shown.of_step(2, {3, 7}),
                   alone = shown.of_step(2, {7});
        for (auto const& [name, mask] : together) EXPECT_TRUE(mask.equal(turned.at(name))) << name;
        for (auto const& [name, mask] : alone) EXPECT_TRUE(mask.equal(together.at(name))) << name;
    }
}

} // namespace
} // namespace trireme::framework
