// The second pass: rows to samples in shards.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/manifest.hpp"
#include "launch/text/census.hpp"
#include "launch/text/rank_exchange.hpp"
#include "launch/text/split_writer.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

class OpenedParcel;

/// A count, and where it was met first.
struct Counted {
    std::int64_t rows = 0;
    std::string first; ///< "FILE:LINE"
    void add(Row const& row, std::int64_t more = 1);
    /// Adds what another rank counted in later rows.
    void merge(OpenedParcel& parcel);
};

/// A row on its way to a sample.
struct Waiting {
    Row row;
    std::string split;
};

/// Takes samples to their split, and counts what the user is told about their rows.
class SampleSink {
  public:
    SampleSink(PrepareOptions const& o, std::vector<std::string> const& splits,
               std::vector<std::string> const& labels);

    void add(data::Sample&& sample, Waiting const& of);
    /// A sample of a whole text without anything to learn, counted; none if it has no token.
    std::optional<data::Sample> sample_of(Encoding&& encoding, Waiting const& waiting);
    void leave_out(Row const& row) { without_tokens_.add(row); } ///< too few tokens
    void count_specials(std::int64_t written, bool doubled, Row const& row);
    void count_longer(bool longer) { longer_ += longer; } ///< than max_length
    /// completions tokenized apart from their prompts
    void count_apart(bool apart) { apart_ += apart; }

    /// "FILE:LINE", as the data name the row.
    static std::string source_of(Row const& row);
    /// Counts what the user is told in these words.
    void tell(std::string const& what, std::size_t more, Row const& row);

    /// Keeps samples for `packed` from here on, and writes none: a rank other than the first.
    void keep() { keeps_ = true; }
    /// Returns the samples that were kept, of whatever split, which it has no longer then.
    std::vector<data::Sample> kept();
    /// Returns what was kept and counted since the last call, for `unpack` of the first rank.
    std::string packed();
    /// Takes the samples of rows that follow those it has.
    void unpack(std::string const& parcel);

    std::map<std::string, data::SplitInfo> finish();
    /// Files of the rows, in the order in which they were met.
    std::vector<std::string> const& sources() const { return sources_; }
    std::int64_t longer() const { return longer_; }
    std::int64_t apart() const { return apart_; }
    std::map<std::string, Counted> const& told() const { return told_; }
    Counted const& doubled() const { return doubled_; }
    Counted const& written() const { return written_; }
    Counted const& without_tokens() const { return without_tokens_; }

  private:
    struct Kept {
        data::Sample sample;
        std::string split;
    };
    /// A place in sources_.
    std::int32_t number_of(std::string const& file);
    std::vector<Counted*> counted();

    std::map<std::string, SplitWriter> writers_;
    std::vector<std::string> sources_;
    std::map<std::string, std::int32_t> numbers_; ///< numbers of the files in sources_
    bool keeps_ = false;
    std::vector<Kept> kept_;
    std::int64_t longer_ = 0, apart_ = 0;
    Counted doubled_, written_, without_tokens_;
    std::map<std::string, Counted> told_;
};

/// Rows to samples, as a task makes them. Under mpirun each rank converts some of the batches of
/// rows, unless `TextTask::divides` denies it: then what a converter gathers over all rows is whole
/// on the first rank.
class RowConverter {
  public:
    virtual ~RowConverter() = default;
    /// Throws InputError "FILE:LINE: what" for a row that cannot become a sample.
    virtual void convert(std::vector<Waiting> const& rows, SampleSink& out) = 0;
    /// Writes what stands beside the shards, if anything does, and says it in the manifest, which
    /// has the splits.
    virtual void finish(data::Manifest& /*manifest*/) {}
    /// Lines for people about what became of the rows.
    virtual std::string told() const { return {}; }
};

class Converter {
  public:
    /// `labels`: names of the outputs in id order. Arguments must outlive it. Throws InputError.
    Converter(PrepareOptions const& options, Census const& census,
              std::vector<std::string> const& labels, Ranks& ranks);

    /// Takes the next row if this rank does its batch, and its split, for which it asks only then.
    /// Throws InputError "FILE:LINE: what" for a row that cannot become a sample.
    void add(Row&& row, std::function<std::string(Row const&)> const& split_of);
    /// Converts what is left. Collective. On the first rank it writes the sizes of all splits into
    /// `manifest`; others are done.
    void finish(data::Manifest& manifest);

    SampleSink const& samples() const { return samples_; }
    std::string told() const { return task_->told(); }
    UnknownTokens const& unknown() const { return unknown_; }

  private:
    void end_batch();
    void convert_for_first();
    void gather_unknown();

    PrepareOptions const& o_;
    Census const& census_;
    Ranks& ranks_;
    bool divides_;
    Tokenizer tokenizer_;
    std::unique_ptr<RowConverter> task_;
    SampleSink samples_;
    UnknownTokens unknown_; ///< those of all ranks, after finish
    std::vector<Waiting> rows_;
    std::size_t in_batch_ = 0;
    std::int64_t batch_ = 0, done_ = 0;
};

} // namespace trireme::launch::text
