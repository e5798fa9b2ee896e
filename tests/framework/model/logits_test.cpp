// The language-model head hands out logits when asked, across its chunks, and makes none otherwise.
#include <gtest/gtest.h>

#include "framework/model/ops.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework {
namespace {

constexpr std::int64_t kVocabulary = 100'003, kWidth = 4, kTokens = 50, kReal = 47;

/// Two samples, and a last segment that only fills up.
Pass two_samples() {
    data::Slot slot;
    slot.tokens.assign(kTokens, 1);
    slot.offsets = {0, 5, kReal, kTokens};
    slot.sample_ids = {3, 8, -1};
    slot.token_labels.assign(kTokens, data::kIgnoredLabel);
    for (std::size_t t = 0; t < kReal; ++t) slot.token_labels[t] = static_cast<std::int32_t>(2000 * t);
    return make_pass(std::move(slot), false, 0, 0, 1.0);
}

TEST(LanguageModelLogits, AreThoseOfEveryRealTokenAndOnlyWhenAskedFor) {
    parallel::ParameterStore store({{.name = "head", .shape = {kVocabulary, kWidth}, .unit = "head", .deviation = 1}},
                                   {.gradients = false});
    store.initialize(store.at("head"), 5);
    at::Tensor const w = store.at("head").value();
    at::Tensor const x = at::sin(at::arange(kTokens * kWidth, at::kFloat)).view({kTokens, kWidth});
    Pass pass = two_samples();
    Results without, with;
    double const loss = language_model_loss(x, parallel::ParameterUse{store.at("head")}, pass, without).item<double>();
    EXPECT_TRUE(without.logits.empty());
    pass.keep_logits = true;
    EXPECT_EQ(language_model_loss(x, parallel::ParameterUse{store.at("head")}, pass, with).item<double>(), loss);
    ASSERT_EQ(with.logits.size(), static_cast<std::size_t>(kReal * kVocabulary));
    at::Tensor const ours = at::from_blob(with.logits.data(), {kReal, kVocabulary}, at::kFloat);
    EXPECT_TRUE(at::allclose(ours, at::mm(x.narrow(0, 0, kReal), w.t()), 1e-5, 1e-6));
}

} // namespace
} // namespace trireme::framework
