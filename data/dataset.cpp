#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "data/questions.hpp"
#include "data/shard.hpp"

namespace trireme::data {

namespace {

class ShardedDataset : public Dataset {
  public:
    ShardedDataset(std::string const& directory, std::string const& split) : directory_(directory) {
        Manifest const manifest = read_manifest(directory);
        auto const found = manifest.splits.find(split);
        if (found == manifest.splits.end()) {
            std::string legal;
            for (auto const& [name, unused] : manifest.splits)
                legal += (legal.empty() ? "" : ", ") + name;
            throw cluster::InputError(fmt::format("{}/manifest.json: no split \"{}\"; legal: {}",
                                                  directory, split,
                                                  legal.empty() ? "(it has none)" : legal));
        }
        labels_ = manifest.labels;
        sources_ = manifest.sources;
        task_ = manifest.task;
        vocabulary_ = manifest.vocabulary;
        longest_ = found->second.longest();
        fingerprint_ = found->second.fingerprint();
        questions_file_ = found->second.questions;
        for (auto const& info : found->second.shards) {
            shards_.push_back(open_shard(
                directory, info, {task_, vocabulary_, std::ssize(labels_), std::ssize(sources_)}));
            ends_.push_back(ends_.back() + info.samples);
            segments_ = std::max(segments_, info.segments);
        }
    }

    std::int64_t size() const override { return ends_.back(); }
    std::int64_t length(std::int64_t sample) const override {
        auto const [shard, i] = place(sample);
        return shard->length(i);
    }
    std::int64_t trained(std::int64_t sample) const override {
        auto const [shard, i] = place(sample);
        return shard->trained(i);
    }
    std::vector<std::int32_t> values_of(std::int64_t sample,
                                        TaskColumn const& column) const override {
        auto const [shard, i] = place(sample);
        return shard->values_of(i, column);
    }
    std::int32_t class_of(std::int64_t sample) const override {
        auto const [shard, i] = place(sample);
        return shard->class_of(i);
    }
    std::int64_t longest() const override { return longest_; }
    std::int64_t vocabulary() const override { return vocabulary_; }
    std::int64_t segments() const override { return segments_; }
    TaskSchema const& task() const override { return schema_of(task_); }
    std::string const& fingerprint() const override { return fingerprint_; }
    std::vector<std::string> const& label_names() const override { return labels_; }
    std::string source(std::int64_t sample) const override {
        auto const [shard, i] = place(sample);
        Source const source = shard->source(i);
        return source.file < 0
                   ? ""
                   : fmt::format("{}:{}", sources_.at(static_cast<std::size_t>(source.file)),
                                 source.line);
    }

    Questions const* questions() const override {
        if (questions_file_ && !questions_) {
            auto questions = std::make_unique<Questions>(
                Questions{read_questions(directory_, *questions_file_)});
            std::unordered_map<std::string, std::int64_t> places;
            for (auto const& question : questions->all)
                places.emplace(question.source, places.size());
            for (std::int64_t i = 0; i < size(); ++i) {
                auto const found = places.find(source(i));
                if (found == places.end())
                    throw cluster::InputError(
                        fmt::format("{}/{}: no question of sample {}, which is of {}; prepare the "
                                    "data again",
                                    directory_, questions_file_->file, i, source(i)));
                questions->of_sample.push_back(found->second);
            }
            questions_ = std::move(questions);
        }
        return questions_.get();
    }

    MicroBatch read(std::vector<std::int64_t> const& samples,
                    std::int64_t token_multiple) const override {
        MicroBatch micro_batch;
        micro_batch.offsets.push_back(0);
        for (std::int64_t const sample : samples) {
            auto const [shard, i] = place(sample);
            shard->append(i, micro_batch);
            micro_batch.sample_ids.push_back(sample);
        }
        fill_up(micro_batch, token_multiple);
        return micro_batch;
    }

    void verify(int part, int parts) const override {
        if (part == 0) {
            verify_manifest(directory_);
            if (questions_file_) read_questions(directory_, *questions_file_);
        }
        for (auto s = static_cast<std::size_t>(part); s < shards_.size();
             s += static_cast<std::size_t>(parts))
            shards_[s].verify();
    }
    void verify_samples(std::int64_t first, std::int64_t end) const override {
        verify_manifest(directory_);
        for (auto sample = first; sample < end;) {
            auto const [shard, i] = place(sample);
            shard->verify();
            sample += shard->size() - i; // the first of the next shard
        }
    }

  private:
    static Shard open_shard(std::string const& directory, ShardInfo const& info,
                            ShardLimits const& limits) try {
        return {directory, info, limits};
    } catch (cluster::InputError const& error) {
        std::string const what = error.what();
        throw cluster::InputError(
            what.starts_with(directory) ? what : directory + "/manifest.json: " + what);
    }
    std::pair<Shard const*, std::int64_t> place(std::int64_t sample) const {
        auto const shard =
            static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), sample) -
                                     ends_.begin()) -
            1;
        return {&shards_.at(shard), sample - ends_[shard]};
    }

    std::string directory_;
    std::vector<Shard> shards_;
    std::vector<std::int64_t> ends_{0};
    std::int64_t longest_ = 0, vocabulary_ = 0, segments_ = 1;
    std::string fingerprint_;
    TaskKind task_ = TaskKind::language_modeling;
    std::vector<std::string> labels_, sources_;
    std::optional<SideFile> questions_file_;
    mutable std::unique_ptr<Questions const> questions_; ///< null until they are asked for
};

} // namespace

void fill_up(MicroBatch& micro_batch, std::int64_t multiple) {
    std::int64_t const fill = (multiple - micro_batch.token_count() % multiple) % multiple;
    if (fill == 0) return;
    auto const length = static_cast<std::size_t>(micro_batch.token_count() + fill);
    for (std::int64_t i = 0; i < fill; ++i)
        micro_batch.positions.push_back(static_cast<std::int32_t>(i));
    micro_batch.tokens.resize(length, 0);
    micro_batch.segments.resize(length, 0);
    micro_batch.offsets.push_back(micro_batch.token_count());
    micro_batch.sample_ids.push_back(-1);
    micro_batch.columns.each([&]<typename T>(Column<T>& column) {
        std::size_t const entries =
            column.per == Per::token ? length : micro_batch.sample_ids.size();
        column.values.resize(entries * static_cast<std::size_t>(column.width), kIgnored<T>);
    });
}

std::unique_ptr<Dataset> open_dataset(std::string const& directory, std::string const& split) {
    return std::make_unique<ShardedDataset>(directory, split);
}

} // namespace trireme::data
