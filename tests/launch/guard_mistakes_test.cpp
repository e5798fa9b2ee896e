// Mistakes in what a run does to keep a model general.
#include "tests/launch/mistakes.hpp"

namespace trireme::test {
namespace {

std::vector<Mistake> const kGenerality{
    {"FreezesNothing",
     train({R"(optimizer.freeze=["bert.*"])"}),
     "optimizer.freeze: bert.*: fits no parameter; legal: patterns of names as "
     "model.embed_tokens.weight or lm_head.weight",
     {}},
    {"FreezesAll",
     train({R"(optimizer.freeze=["model.*", "*"])"}),
     "optimizer.freeze: model.*: every parameter is frozen; legal: patterns that leave one to "
     "train",
     {}},
    {"RisingRates",
     train({"optimizer.layer_decay=1.1"}),
     "--set: optimizer.layer_decay: 1.1: legal: a number > 0 and <= 1",
     {}},
    {"GeneralTextOfAnotherTask",
     train({"guard.general_data=DIR/classes"}),
     "guard.general_data: DIR/classes: was prepared for classification; legal: text prepared for "
     "language-modeling",
     {}},
    {"GeneralTextForAClassifier",
     train({"task=classification", "model.path=DIR/bert", "data.path=DIR/classes",
            "guard.general_data=DIR/data"}),
     "guard.general_data: DIR/data: legal for classification: empty; its model has no scores of "
     "tokens, whose loss on general text could be followed",
     {}},
    {"LimitWithoutText",
     train({"guard.max_forgetting=0.5"}),
     "guard.max_forgetting: 0.5: legal without guard.general_data: 0",
     {}},
    {"LimitWithoutBest",
     train({"guard.max_forgetting=0.5", "guard.general_data=DIR/data", "checkpoint.keep_best=no"}),
     "checkpoint.keep_best: false: legal with guard.max_forgetting: true, so that the best weights "
     "below it are there",
     {}},
    {"AverageThatNeverMoves",
     train({"optimizer.ema_decay=1"}),
     "--set: optimizer.ema_decay: 1: legal: a number >= 0 and < 1",
     {}},
    {"DivergenceOfAClassifier",
     train({"task=classification", "model.path=DIR/bert", "data.path=DIR/classes",
            "train.base_divergence=0.5"}),
     "train.base_divergence: 0.5: legal for classification: 0; the base model has no scores of its "
     "classes, from which the model could stray",
     {}},
    {"DivergenceFromRandomWeights",
     train({"train.base_divergence=0.5", "model.from_scratch=true"}),
     "train.base_divergence: 0.5: legal with model.from_scratch: true: 0; random weights know "
     "nothing to hold on to",
     {}},
    {"NegativeDivergence",
     train({"train.base_divergence=-1"}),
     "--set: train.base_divergence: -1: legal: a number >= 0",
     {}},
    {"UnknownReaction",
     train({"guard.overfitting=panic"}),
     "--set: guard.overfitting: panic: legal: off, warn, stop",
     {}},
};
INSTANTIATE_TEST_SUITE_P(Generality, Mistakes, testing::ValuesIn(kGenerality), name_of);

} // namespace
} // namespace trireme::test
