// A fixed part of a data set, for learning curves.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"

namespace trireme::data {

/// The first ceil(fraction x size) samples of one permutation that depends on the size alone: what
/// a smaller fraction keeps, a larger one keeps too, whatever the seed of the run. Windows of a
/// document are samples of their own. Questions are not handed on: an evaluation reads whole
/// splits.
class Subset : public Dataset {
  public:
    /// `fraction`: > 0 and <= 1.
    Subset(std::unique_ptr<Dataset> whole, double fraction);

    std::int64_t size() const override { return std::ssize(kept_); }
    std::int64_t length(std::int64_t id) const override { return whole_->length(inner(id)); }
    std::int64_t trained(std::int64_t id) const override { return whole_->trained(inner(id)); }
    std::vector<std::int32_t> values_of(std::int64_t id, TaskColumn const& column) const override {
        return whole_->values_of(inner(id), column);
    }
    std::int32_t class_of(std::int64_t id) const override { return whole_->class_of(inner(id)); }
    std::int64_t in_epoch(std::int64_t sample, std::int64_t epoch) const override;
    std::int64_t longest() const override { return longest_; }
    std::string const& fingerprint() const override { return fingerprint_; }
    std::vector<std::string> const& label_names() const override { return whole_->label_names(); }
    std::string source(std::int64_t sample) const override { return whole_->source(inner(sample)); }
    std::int64_t vocabulary() const override { return whole_->vocabulary(); }
    std::int64_t segments() const override { return whole_->segments(); }
    TaskSchema const& task() const override { return whole_->task(); }
    void verify(int part, int parts) const override { whole_->verify(part, parts); }
    void verify_samples(std::int64_t first, std::int64_t end) const override;
    MicroBatch read(std::vector<std::int64_t> const& ids,
                    std::int64_t token_multiple) const override;

  private:
    /// The whole set's id for one of ours, which counts epochs in multiples of our size.
    std::int64_t inner(std::int64_t id) const;

    std::unique_ptr<Dataset> whole_;
    std::vector<std::int64_t> kept_; ///< ascending, so that shards are read from front to back
    std::int64_t longest_ = 0;
    std::string fingerprint_; ///< of the whole and how much of it is kept
};

} // namespace trireme::data
