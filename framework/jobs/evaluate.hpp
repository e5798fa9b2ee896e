// A model of a Hugging Face folder on a split of data, without training.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "cluster/output_file.hpp"
#include "data/shard.hpp"
#include "framework/config/config.hpp"
#include "framework/evaluation/choices.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/jobs/prediction_lines.hpp"

namespace trireme::framework::jobs {

struct EvaluationJob {
    std::string model, data, split = "test";
    std::int64_t tokens_per_micro_batch = 2048;
    std::vector<std::string> set; ///< "parallel.pipeline=2": parallel.*, numerics.compute
    /// of documents whose windows are samples
    evaluation::Pooling pooling = evaluation::Pooling::mean;
    /// The JSONL that rank 0 writes: sample, source, loss, trained, and what the task adds for a
    /// sample; of answers a line for each question (evaluation/answers.hpp). Null: none.
    cluster::OutputFile* predictions = nullptr;
    Choice choice = {}; ///< of predictions of texts without labels
    /// hears of how many of all samples are computed, on rank 0; may be empty
    std::function<void(std::int64_t done, std::int64_t all)> progress = {};
};

/// Samples that are read and gathered at a time, of no influence on what is found. Tests make it
/// small.
inline std::atomic<std::int64_t> samples_per_plan = 256;

struct Evaluation {
    evaluation::Metrics metrics;
    parallelize::Compute compute;    ///< float32 unless `set` asks for another
    std::vector<std::string> labels; ///< names of the outputs, if the task has such
};

/// Collective over `world`. Throws InputError.
Evaluation evaluate_model(EvaluationJob const& job, cluster::Communicator& world);

/// Questions whose choices a language model ranks: a sample for each choice, whose labels
/// (data::kTokenLabels) count at the tokens of the choice alone.
struct ChoiceJob {
    std::vector<data::Sample> samples;
    std::vector<evaluation::ChoiceQuestion> questions;
    std::vector<std::string> labels; ///< names, where every question has them as its choices
    std::int64_t vocabulary = 0;     ///< of the tokenizer that made the tokens
};
/// Ranks the choices by a decoder, or by an encoder with the head of its masked language model;
/// predictions are a line for each question. `job`: data, split and pooling are not read. Every
/// rank gives the same choices. Collective over `world`. Throws InputError.
Evaluation evaluate_choices(EvaluationJob const& job, ChoiceJob choices,
                            cluster::Communicator& world);

/// Says among how many labelled texts of the split "train", chosen by the seed, how many nearest
/// ones give a text its class.
struct NeighbourJob {
    std::int64_t shots = 0, nearest = 0;
    std::uint64_t seed = 1;
};
/// Classifies the texts of a split by their nearest labelled neighbours
/// (evaluation/neighbours.hpp): embeddings are the mean of the last hidden states of a model as it
/// is, whose head is not asked. Predictions are a line for each text. Collective over `world`.
/// Throws InputError.
Evaluation evaluate_neighbours(EvaluationJob const& job, NeighbourJob const& how,
                               cluster::Communicator& world);

/// Returns the task of a folder whose model predicts something of texts. Local. Throws InputError
/// for one that was not trained to.
data::TaskSchema const& task_of_model(std::string const& folder);

/// A model of a Hugging Face folder that predicts something of texts without labels.
class Predictor {
  public:
    /// `job`: data, split and predictions are not read. Collective over `world`. Throws InputError
    /// naming what the folder lacks.
    Predictor(EvaluationJob const& job, cluster::Communicator& world);
    ~Predictor();
    Predictor(Predictor const&) = delete;
    Predictor& operator=(Predictor const&) = delete;

    /// Computes a line for each text: what its task says of it, or of its windows, whose outputs
    /// are pooled where the head reads whole samples. Every rank gives the same texts and gets the
    /// same lines. Collective. Throws InputError for tokens that the model does not know, and
    /// JobError on every rank for outputs that are not finite.
    std::vector<nlohmann::ordered_json> predict(std::vector<UnlabelledText> const& texts);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace trireme::framework::jobs
