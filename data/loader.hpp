// Turns a step number into packed micro-batches. Training includes no other header of `data`.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/micro_batch.hpp"

namespace trireme::data {

struct Questions;

/// How samples of a step are cut into micro-batches: layout-independent, no rank in it.
struct BatchShape {
    std::int64_t samples = 0; ///< global batch: samples per step
    std::int64_t tokens_per_micro_batch =
        0;                           ///< upper limit; a longer sample has a micro-batch of its own
    std::int64_t token_multiple = 1; ///< T of every micro-batch is rounded up to this
};

/// The plan of a step, the same on every rank.
struct StepPlan {
    std::vector<std::vector<std::int64_t>>
        micro_batches;        ///< ids of each micro-batch's samples (in_epoch), in their order
    std::int64_t trained = 0; ///< labels that count in the loss, over all micro-batches
    std::int64_t tokens = 0;  ///< real tokens, over all micro-batches
};

/// A sample as an endless order has it.
struct Visit {
    std::int64_t sample = 0, epoch = 0; ///< epoch: visits of the sample before this one
};

/// A data set of shards, opened read-only. Every rank opens the same one. Local: no collective in
/// any call.
class Dataset {
  public:
    virtual ~Dataset() = default;
    virtual std::int64_t size() const = 0;                      ///< samples
    virtual std::int64_t length(std::int64_t sample) const = 0; ///< tokens
    /// labels of the sample that count
    virtual std::int64_t trained(std::int64_t sample) const = 0;
    /// Values of an int32 column of one sample, quicker than to read it whole. Throws JobError as
    /// read does.
    virtual std::vector<std::int32_t> values_of(std::int64_t sample,
                                                TaskColumn const& column) const;
    /// The class of the sample, of a task that has one; kIgnoredLabel: not known.
    virtual std::int32_t class_of(std::int64_t /*sample*/) const { return kIgnoredLabel; }
    /// The id by which plans name the sample in an epoch, and length, trained and read know it: the
    /// sample, plus a multiple of size() where its content differs from epoch to epoch.
    virtual std::int64_t in_epoch(std::int64_t sample, std::int64_t /*epoch*/) const {
        return sample;
    }
    /// The visit at place `cursor` of the endless order, in which every sample comes once an epoch,
    /// and those of a mixture once an epoch of their source: a pure function of the data, the seed
    /// and the place. One thread.
    virtual Visit visit(std::uint64_t seed, std::int64_t cursor) const;
    /// tokens of the longest sample
    virtual std::int64_t longest() const = 0;
    /// hash over the shards, from the manifest
    virtual std::string const& fingerprint() const = 0;
    /// names of the outputs, in id order; empty if the task has none
    virtual std::vector<std::string> const& label_names() const = 0;
    /// Returns "FILE:LINE" of the row that a sample was made of; "" if the data do not say it.
    /// Throws JobError if the shard cannot be read.
    virtual std::string source(std::int64_t /*sample*/) const { return ""; }
    /// Returns questions that the samples are windows of (questions.hpp), read when they are first
    /// asked for; null if the data have none. Throws InputError. One thread.
    virtual Questions const* questions() const { return nullptr; }
    /// size of the vocabulary of the tokenizer that made the tokens
    virtual std::int64_t vocabulary() const = 0;
    /// number of segment ids: tokens have 0 to this less 1
    virtual std::int64_t segments() const = 0;
    /// task that the data were prepared for
    virtual TaskSchema const& task() const = 0;
    /// Hashes shards part, part + parts, ... and throws InputError naming one that is not what the
    /// manifest describes.
    virtual void verify(int part, int parts) const = 0;
    /// Verifies only the shards that hold samples [first, end). A data set in memory has nothing to
    /// verify.
    virtual void verify_samples(std::int64_t /*first*/, std::int64_t /*end*/) const {}
    /// Reads the samples of one micro-batch. Throws JobError naming file and sample if a shard
    /// cannot be read.
    virtual MicroBatch read(std::vector<std::int64_t> const& samples,
                            std::int64_t token_multiple) const = 0;
};

/// Fills the micro-batch up to a multiple of tokens with a segment of its own, which nothing
/// attends to and nothing counts.
void fill_up(MicroBatch& micro_batch, std::int64_t multiple);

/// Opens DIR/SPLIT as `trireme prepare` wrote it (DIR/manifest.json). Throws InputError.
std::unique_ptr<Dataset> open_dataset(std::string const& directory, std::string const& split);

/// The sample at place `cursor` of the endless order: epoch = cursor / size, a permutation of its
/// own in each epoch. Pure: a function of (seed, size, cursor).
std::int64_t ordered_sample(std::uint64_t seed, std::int64_t size, std::int64_t cursor);

/// Cuts samples into micro-batches: pure function of (ids, lengths, shape). Balanced: micro-batches
/// of one step have nearly equal tokens.
std::vector<std::vector<std::int64_t>>
cut_into_micro_batches(std::vector<std::int64_t> const& samples,
                       std::vector<std::int64_t> const& lengths, BatchShape const& shape);

/// Plan of the step whose first sample is at place `cursor` of the order.
StepPlan plan_step(Dataset const& dataset, BatchShape const& shape, std::uint64_t seed,
                   std::int64_t cursor);

/// Labels that count in the loss, over all micro-batches of a plan.
std::int64_t count_trained(Dataset const& dataset, StepPlan const& plan);

/// Plan that visits every sample once, in index order (evaluation): one entry per group of
/// `shape.samples`. Labels are not counted: the plans' `trained` are 0.
std::vector<StepPlan> plan_evaluation(Dataset const& dataset, BatchShape const& shape);

} // namespace trireme::data
