// Which tokens of a text a prediction rests on, and what each token costs a language model.
//
// Gradient x input: Shrikumar et al., "Not Just a Black Box" (arXiv:1605.01713). Integrated
// gradients: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017), of
// the rows that the token table has for a text; positions and segments stay as they are on the
// whole way, as in Captum's layer integrated gradients of the word embeddings.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/shard.hpp"
#include "data/task.hpp"

namespace trireme::framework::jobs {

/// Rows that stand for a text without content: zeros, the mean row of the token table, or the row
/// of one token.
enum class Baseline : std::uint8_t { zero, mean, token };

struct AttributionJob {
    std::int64_t tokens_per_micro_batch = 2048; ///< upper limit of what is computed at a time
    std::vector<std::string> set;               ///< "numerics.compute=fp64"
    Baseline baseline = Baseline::mean;
    std::int32_t baseline_token = -1; ///< of Baseline::token
    bool integrated = true;           ///< false: gradient x input alone
    /// Gradients on the way from the baseline to the text. 0: as many as it takes for their sum to
    /// be within `tolerance` of the difference of outputs, doubled from kFirstSteps up to
    /// kMostSteps
    std::int64_t steps = 0;
    double tolerance = 0.01;
};
inline constexpr std::int64_t kFirstSteps = 16, kMostSteps = 1024;

struct AttributedText {
    data::Sample sample;     ///< tokens and segments; labels are not read
    std::vector<bool> fixed; ///< by token: special ones, which the baseline has too
};

/// Change of a prediction when tokens are taken out of a text: mean fall of the target's
/// probability, or of the output of a model of numbers (comprehensiveness: DeYoung et al.,
/// "ERASER", ACL 2020).
struct Deletion {
    std::int64_t tokens = 0; ///< taken out; 0: the text has too few
    double highest = 0;      ///< fall without the tokens with the highest attributions
    double random = 0;       ///< mean fall without as many at random, over kDraws draws
};
inline constexpr int kDraws = 8;
inline constexpr double kDeletedShare = 0.2;

struct Attribution {
    std::vector<double> outputs;                      ///< of the head: logits, or numbers
    std::int64_t target = 0;                          ///< place in `outputs` of what is explained
    double baseline_output = 0;                       ///< of the target, at the baseline
    std::vector<double> gradient_x_input, integrated; ///< by token
    std::int64_t steps = 0;
    Deletion deletion;

    double difference() const {
        return outputs.at(static_cast<std::size_t>(target)) - baseline_output;
    }
    /// Share of the difference by which the sum of the integrated gradients misses it.
    double error() const;
};

/// Records how well a language model foresees one token of a text from those before it.
struct TokenLoss {
    double loss = 0;            ///< -log of the probability of the token, in nats
    std::int64_t rank = 0;      ///< tokens that were likelier
    std::int32_t likeliest = 0; ///< the token with the highest probability
    double probability = 0;     ///< of that
};

/// Throws InputError for a folder that AttributedModel refuses by its config.json. Local.
bool is_language_model(std::string const& folder);

/// A model of a Hugging Face folder, whole on every rank.
class AttributedModel {
  public:
    /// Collective over `world`. Throws InputError for a folder that is neither a classifier, a
    /// regressor nor a causal language model, and naming what it lacks.
    AttributedModel(std::string const& folder, AttributionJob const& job,
                    cluster::Communicator& world);
    ~AttributedModel();
    AttributedModel(AttributedModel const&) = delete;
    AttributedModel& operator=(AttributedModel const&) = delete;

    std::string const& folder() const;
    bool is_language_model() const;
    data::TaskSchema const& task() const;
    std::vector<std::string> const& labels() const; ///< of the outputs
    std::int64_t vocabulary() const;
    /// Throws InputError for a token, a length or a segment that the model has not. Local.
    void check(AttributedText const& text) const;

    /// Explains the output `target`, or the highest one for -1, of a model that is no language
    /// model. `number`: of the text, keys what is drawn. Local. Throws JobError for an output that
    /// is not finite.
    Attribution attribute(AttributedText const& text, std::int64_t target,
                          std::int64_t number) const;
    /// Explains the log-probability of token `place`, from 1 on, by the tokens before it, of a
    /// language model; the tokens from there on have zeros. Otherwise as `attribute`. Local.
    Attribution attribute_token(AttributedText const& text, std::int64_t place,
                                std::int64_t number) const;
    /// Losses of all tokens but the first, of a language model. Local.
    std::vector<TokenLoss> losses(AttributedText const& text) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::framework::jobs
