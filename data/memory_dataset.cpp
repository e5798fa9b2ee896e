#include "data/memory_dataset.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "data/token_weights.hpp"

namespace trireme::data {

namespace {

std::int64_t length_of(Sample const& sample) {
    return static_cast<std::int64_t>(sample.tokens.size());
}

void append(Sample const& sample, TaskSchema const& task, std::int64_t labels,
            MicroBatch& micro_batch) {
    std::ranges::copy(sample.tokens, std::back_inserter(micro_batch.tokens));
    std::ranges::copy(sample.segments, std::back_inserter(micro_batch.segments));
    micro_batch.segments.resize(micro_batch.tokens.size(), 0);
    for (std::int64_t t = 0; t < length_of(sample); ++t)
        micro_batch.positions.push_back(static_cast<std::int32_t>(t));
    for (auto const& column : task.columns)
        if (column.values == Values::reals)
            micro_batch.columns.append(column, column.width_for(labels),
                                       sample.reals.at(column.name));
        else
            micro_batch.columns.append(column, column.width_for(labels),
                                       sample.labels.at(column.name));
    if (has_token_weights(task)) {
        auto const found = sample.labels.find(kTokenWeights.name);
        append_weights(found == sample.labels.end() ? std::vector<std::int32_t>{} : found->second,
                       micro_batch);
    }
    micro_batch.offsets.push_back(micro_batch.token_count());
}

class MemoryDataset : public Dataset {
  public:
    MemoryDataset(TaskKind task, std::vector<Sample> samples, std::vector<std::string> labels,
                  std::int64_t vocabulary, std::unique_ptr<Questions const> questions)
        : task_(schema_of(task)), samples_(std::move(samples)), labels_(std::move(labels)),
          vocabulary_(vocabulary), questions_(std::move(questions)) {}

    std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
    std::int64_t length(std::int64_t sample) const override { return length_of(at(sample)); }
    std::int64_t trained(std::int64_t sample) const override { return at(sample).trained(task_); }
    std::int32_t class_of(std::int64_t sample) const override {
        auto const found = at(sample).labels.find(kClassLabel.name);
        return found == at(sample).labels.end() ? kIgnoredLabel : found->second.at(0);
    }
    std::int64_t longest() const override {
        std::int64_t most = 0;
        for (auto const& s : samples_) most = std::max(most, length_of(s));
        return most;
    }
    std::int64_t vocabulary() const override { return vocabulary_; }
    std::int64_t segments() const override {
        std::int32_t most = 0;
        for (auto const& s : samples_)
            for (auto const segment : s.segments) most = std::max(most, segment);
        return most + 1;
    }
    TaskSchema const& task() const override { return task_; }
    std::string const& fingerprint() const override { return fingerprint_; }
    std::vector<std::string> const& label_names() const override { return labels_; }
    /// Samples of one place are windows of one text.
    std::string source(std::int64_t sample) const override {
        auto const& [file, line] = at(sample).source;
        return file < 0 ? "" : std::to_string(file) + ":" + std::to_string(line);
    }
    Questions const* questions() const override { return questions_.get(); }
    void verify(int, int) const override {}

    MicroBatch read(std::vector<std::int64_t> const& samples,
                    std::int64_t token_multiple) const override {
        MicroBatch micro_batch;
        micro_batch.offsets.push_back(0);
        for (auto const id : samples) {
            append(at(id), task_, std::ssize(labels_), micro_batch);
            micro_batch.sample_ids.push_back(id);
        }
        fill_up(micro_batch, token_multiple);
        return micro_batch;
    }

  private:
    Sample const& at(std::int64_t sample) const {
        return samples_.at(static_cast<std::size_t>(sample));
    }

    TaskSchema const& task_;
    std::vector<Sample> samples_;
    std::vector<std::string> labels_;
    std::int64_t vocabulary_;
    std::unique_ptr<Questions const> questions_;
    std::string fingerprint_; ///< no shards, no fingerprint
};

} // namespace

std::unique_ptr<Dataset> make_memory_dataset(TaskKind task, std::vector<Sample> samples,
                                             std::vector<std::string> labels,
                                             std::int64_t vocabulary,
                                             std::unique_ptr<Questions const> questions) {
    return std::make_unique<MemoryDataset>(task, std::move(samples), std::move(labels), vocabulary,
                                           std::move(questions));
}

} // namespace trireme::data
