#include "launch/text/converter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "cluster/utf8.hpp"
#include "launch/text/parcel.hpp"
#include "launch/text/tasks/task.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::size_t kBatch = 2048; ///< rows tokenized together
/// first byte of what a rank sends of a batch
constexpr char kConverted = '+', kRefused = '-';

std::vector<std::string> splits_of(Census const& census) {
    std::vector<std::string> splits;
    for (auto const& [split, rows] : census.rows) splits.push_back(split);
    return splits;
}

} // namespace

void Counted::add(Row const& row, std::int64_t more) {
    if (rows == 0) first = place_of(row);
    rows += more;
}

void Counted::merge(OpenedParcel& parcel) {
    std::int64_t const more = parcel.number();
    std::string const where = parcel.text();
    if (rows == 0) first = where;
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
    if (keeps_)
        kept_.push_back({std::move(sample), of.split});
    else
        writers_.at(of.split).add(std::move(sample));
}

std::int32_t SampleSink::number_of(std::string const& file) {
    std::string name = source_name(file); // by which other ranks call it too
    auto const [found, is_new] = numbers_.emplace(name, static_cast<std::int32_t>(sources_.size()));
    if (is_new) sources_.push_back(std::move(name));
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
    return fmt::format("{}:{}", source_name(*row.file), row.line);
}

void SampleSink::tell(std::string const& what, std::size_t more, Row const& row) {
    if (more > 0) told_[what].add(row, static_cast<std::int64_t>(more));
}

std::vector<Counted*> SampleSink::counted() {
    return {&doubled_, &written_, &without_tokens_};
}

std::vector<data::Sample> SampleSink::kept() {
    std::vector<data::Sample> samples;
    for (auto& [sample, split] : std::exchange(kept_, {})) samples.push_back(std::move(sample));
    return samples;
}

std::string SampleSink::packed() {
    Parcel parcel;
    parcel.number(std::exchange(longer_, 0));
    parcel.number(std::exchange(apart_, 0));
    for (auto* of : counted()) {
        parcel.number(of->rows);
        parcel.text(of->first);
        *of = {};
    }
    parcel.number(std::ssize(told_));
    for (auto const& [what, counted] : told_) {
        parcel.text(what);
        parcel.number(counted.rows);
        parcel.text(counted.first);
    }
    told_.clear();
    for (auto const& [sample, split] : kept_) {
        parcel.text(split);
        parcel.text(sources_.at(static_cast<std::size_t>(sample.source.file)));
        parcel.number(sample.source.line);
        parcel.list(sample.tokens);
        parcel.list(sample.segments);
        parcel.lists(sample.labels);
        parcel.lists(sample.reals);
    }
    kept_.clear();
    return parcel.take();
}

void SampleSink::unpack(std::string const& bytes) {
    OpenedParcel parcel(bytes);
    longer_ += parcel.number();
    apart_ += parcel.number();
    for (auto* of : counted()) of->merge(parcel);
    for (auto kinds = parcel.number(); kinds > 0; --kinds) {
        std::string const what = parcel.text();
        told_[what].merge(parcel);
    }
    while (!parcel.empty()) {
        std::string const split = parcel.text();
        std::int32_t const file = number_of(parcel.text());
        std::int64_t const line = parcel.number();
        data::Sample sample{.tokens = parcel.list<std::int32_t>()};
        sample.segments = parcel.list<std::int32_t>();
        sample.labels = parcel.lists<std::int32_t>();
        sample.reals = parcel.lists<float>();
        sample.source = {file, line};
        writers_.at(split).add(std::move(sample));
    }
}

std::map<std::string, data::SplitInfo> SampleSink::finish() {
    std::map<std::string, data::SplitInfo> splits;
    for (auto& [split, writer] : writers_) splits[split] = writer.finish();
    return splits;
}

Converter::Converter(PrepareOptions const& options, Census const& census,
                     std::vector<std::string> const& labels, Ranks& ranks)
    : o_(options), census_(census), ranks_(ranks), divides_(text_task(o_).divides()),
      tokenizer_(o_.tokenizer, text_task(o_).cuts() ? o_.max_length : 0,
                 cuts_in_front(o_.tokenizer), o_.added_tokens),
      task_(text_task(o_).converter(o_, tokenizer_, labels)),
      samples_(o_, splits_of(census), labels) {
    if (!ranks_.first()) samples_.keep();
}

void Converter::add(Row&& row, std::function<std::string(Row const&)> const& split_of) {
    if (divides_ ? ranks_.owns(batch_) : ranks_.first()) {
        std::string split = split_of(row);
        rows_.push_back({std::move(row), std::move(split)});
    }
    if (++in_batch_ == kBatch) end_batch();
}

void Converter::finish(data::Manifest& manifest) {
    end_batch();
    gather_unknown();
    if (!ranks_.first()) return;
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
    manifest.added_tokens = o_.added_tokens;
    task_->finish(manifest);
}

/// Leaves a mistake to the first rank, which says it once, takes back what it made, and ends all.
void Converter::convert_for_first() {
    std::string refused;
    try {
        task_->convert(rows_, samples_);
    } catch (cluster::InputError const& error) {
        refused = error.what();
    }
    bool const good = refused.empty();
    ranks_.send(good ? kConverted + samples_.packed() : kRefused + refused);
    if (!good) ranks_.meet("prepare/refused"); // where the first rank never comes
}

/// The first rank meets the batches in order, whoever tokenizes them.
void Converter::end_batch() {
    if (in_batch_ == 0) return;
    int const owner = divides_ ? ranks_.owner(batch_) : 0;
    if (owner > 0 && ranks_.first()) {
        std::string const answer = ranks_.receive(owner);
        if (answer.front() == kRefused) throw cluster::InputError(answer.substr(1));
        samples_.unpack(answer.substr(1));
    } else if (!rows_.empty() && ranks_.first()) {
        task_->convert(rows_, samples_);
    } else if (!rows_.empty()) {
        convert_for_first();
    }
    done_ += static_cast<std::int64_t>(in_batch_);
    rows_.clear();
    in_batch_ = 0;
    ++batch_;
    if (ranks_.first() && isatty(STDERR_FILENO))
        cluster::say("\r\033[2Ktokenized {} of {} rows ({} %)", done_, census_.used(),
                     100 * done_ / std::max<std::int64_t>(1, census_.used()));
}

void Converter::gather_unknown() {
    unknown_ = tokenizer_.unknown();
    if (!ranks_.first()) {
        Parcel parcel;
        parcel.number(unknown_.tokens);
        parcel.number(unknown_.unknown);
        for (auto const& [word, count] : unknown_.words) {
            parcel.text(word);
            parcel.number(count);
        }
        return ranks_.send(parcel.take());
    }
    for (int rank = 1; rank < ranks_.count(); ++rank) {
        std::string const bytes = ranks_.receive(rank);
        OpenedParcel parcel(bytes);
        unknown_.tokens += parcel.number();
        unknown_.unknown += parcel.number();
        while (!parcel.empty()) {
            std::string const word = parcel.text();
            unknown_.words[word] += parcel.number();
        }
    }
}

} // namespace trireme::launch::text
