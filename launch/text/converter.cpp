#include "launch/text/converter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "cluster/utf8.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::size_t kBatch = 2048; ///< rows tokenized together

std::vector<std::string> splits_of(Census const& census) {
    std::vector<std::string> splits;
    for (auto const& [split, rows] : census.rows) splits.push_back(split);
    return splits;
}

/// JSON holds UTF-8 alone: bytes of another name are spelled out, as messages have them.
std::string name_of(std::string const& file) {
    return cluster::is_utf8(file) ? file : cluster::one_line(file);
}

} // namespace

void Counted::add(Row const& row, std::int64_t more) {
    if (rows == 0) first = place_of(row);
    rows += more;
}

SampleSink::SampleSink(PrepareOptions const& o, std::vector<std::string> const& splits,
                       std::vector<std::string> const& labels) {
    for (auto const& split : splits)
        writers_.emplace(split,
                         SplitWriter{o.output, split, o.samples_per_shard, {o.task, labels}});
}

void SampleSink::add(data::Sample&& sample, Waiting const& of) {
    sample.source = {number_of(*of.row.file), of.row.line};
    writers_.at(of.split).add(std::move(sample));
}

std::int32_t SampleSink::number_of(std::string const& file) {
    auto const [found, is_new] = numbers_.emplace(file, static_cast<std::int32_t>(sources_.size()));
    if (is_new) sources_.push_back(name_of(file));
    return found->second;
}

std::optional<data::Sample> SampleSink::sample_of(Encoding&& e, Waiting const& waiting) {
    count_longer(e.cut);
    count_specials(e.written, e.doubled, waiting.row);
    if (e.tokens.empty()) {
        leave_out(waiting.row);
        return {};
    }
    data::Sample sample{.tokens = std::move(e.tokens)};
    if (std::ranges::any_of(e.segments, [](auto s) { return s != 0; }))
        sample.segments = std::move(e.segments);
    return sample;
}

void SampleSink::count_specials(std::int64_t written, bool doubled, Row const& row) {
    if (doubled) doubled_.add(row);
    if (written > 0) written_.add(row);
}

std::string SampleSink::source_of(Row const& row) {
    return fmt::format("{}:{}", name_of(*row.file), row.line);
}

void SampleSink::tell(std::string const& what, std::size_t more, Row const& row) {
    if (more > 0) told_[what].add(row, static_cast<std::int64_t>(more));
}

std::map<std::string, data::SplitInfo> SampleSink::finish() {
    std::map<std::string, data::SplitInfo> splits;
    for (auto& [split, writer] : writers_) splits[split] = writer.finish();
    return splits;
}

Converter::Converter(PrepareOptions const& options, Census const& census,
                     std::vector<std::string> const& labels)
    : o_(options), census_(census),
      tokenizer_(o_.tokenizer, text_task(o_).cuts() ? o_.max_length : 0,
                 cuts_in_front(o_.tokenizer)),
      task_(text_task(o_).converter(o_, tokenizer_, labels)),
      samples_(o_, splits_of(census), labels) {}

void Converter::add(Row&& row, std::string const& split) {
    rows_.push_back({std::move(row), split});
    if (rows_.size() == kBatch) flush();
}

void Converter::finish(data::Manifest& manifest) {
    flush();
    if (isatty(STDERR_FILENO)) cluster::say("\r\033[2K");
    manifest.splits = samples_.finish();
    manifest.sources = samples_.sources();
    for (auto const& [split, info] : manifest.splits)
        if (info.samples() == 0 && samples_.without_tokens().rows == 0)
            throw cluster::InputError(
                fmt::format("in none of the {} rows of {} is a token trained within --max-length "
                            "{}; legal: one or more",
                            census_.rows.at(split), split, o_.max_length));
        else if (info.samples() == 0)
            throw cluster::InputError(
                fmt::format("{}: in none of the {} rows of {} does the tokenizer find a token, so "
                            "that there is no sample; legal: one row or more with text; does "
                            "--tokenizer know the language of the text?",
                            samples_.without_tokens().first, census_.rows.at(split), split));
    manifest.vocabulary = tokenizer_.vocabulary();
    task_->finish(manifest);
}

void Converter::flush() {
    if (rows_.empty()) return;
    task_->convert(rows_, samples_);
    done_ += static_cast<std::int64_t>(rows_.size());
    rows_.clear();
    if (isatty(STDERR_FILENO))
        cluster::say("\r\033[2Ktokenized {} of {} rows ({} %)", done_, census_.used(),
                     100 * done_ / std::max<std::int64_t>(1, census_.used()));
}

} // namespace trireme::launch::text
