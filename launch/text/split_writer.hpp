// Samples of one split to shards of a bounded size.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/manifest.hpp"
#include "data/shard.hpp"

namespace trireme::launch::text {

/// The next shard of one split.
class SplitWriter {
  public:
    SplitWriter(std::string folder, std::string split, std::int64_t per_shard,
                data::ShardAbout about)
        : folder_(std::move(folder)), split_(std::move(split)), per_shard_(per_shard),
          about_(std::move(about)) {
        bool const sets = about_.task == data::TaskKind::multi_label;
        for (auto const& column : data::schema_of(about_.task).columns)
            if (column.values == data::Values::labels || sets)
                info_.label_counts.resize(about_.labels.size());
    }
    void add(data::Sample&& sample) {
        count(sample);
        count_sets(sample);
        samples_.push_back(std::move(sample));
        if (static_cast<std::int64_t>(samples_.size()) == per_shard_) flush();
    }
    data::SplitInfo finish() {
        if (!samples_.empty()) flush();
        return std::move(info_);
    }

  private:
    void count(data::Sample const& sample) {
        for (auto const& column : data::schema_of(about_.task).columns)
            if (column.values == data::Values::labels)
                for (auto const label : sample.labels.at(column.name))
                    if (data::counts(label))
                        ++info_.label_counts.at(static_cast<std::size_t>(label));
    }
    /// Samples that have each of several labels.
    void count_sets(data::Sample const& sample) {
        if (about_.task != data::TaskKind::multi_label) return;
        auto const& targets = sample.reals.at(data::kTargets.name);
        for (std::size_t c = 0; c < targets.size(); ++c) info_.label_counts.at(c) += targets[c] > 0;
    }
    void flush() {
        info_.shards.push_back(data::write_shard(
            folder_, fmt::format("{}-{:05}.h5", split_, info_.shards.size()), samples_, about_));
        samples_.clear();
    }
    std::string folder_, split_;
    std::int64_t per_shard_;
    data::ShardAbout about_;
    std::vector<data::Sample> samples_;
    data::SplitInfo info_;
};

} // namespace trireme::launch::text
