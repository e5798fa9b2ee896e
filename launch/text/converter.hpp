// The second pass: rows to samples in shards.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/manifest.hpp"
#include "launch/text/census.hpp"
#include "launch/text/split_writer.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

/// A count, and where it was met first.
struct Counted {
    std::int64_t rows = 0;
    std::string first; ///< "FILE:LINE"
    void add(Row const& row);
};

class Converter {
  public:
    /// `labels`: class names in id order, for classification. Throws InputError if generation has
    /// no token to end with.
    Converter(PrepareOptions const& options, Census const& census,
              std::vector<std::string> const& labels);

    /// Throws InputError "FILE:LINE: what" for a row that cannot become a sample.
    void add(Row&& row, std::string const& split);
    /// Writes what is left, and the sizes of all splits into `manifest`.
    void finish(data::Manifest& manifest);

    std::int64_t cut() const { return cut_; } ///< longer than max_length
    /// completions tokenized apart from their prompts
    std::int64_t apart() const { return apart_; }
    Counted const& doubled() const { return doubled_; }
    Counted const& written() const { return written_; }
    Counted const& without_tokens() const { return without_tokens_; }
    UnknownTokens const& unknown() const { return tokenizer_.unknown(); }
    std::int32_t end() const { return end_; }

  private:
    struct Waiting {
        Row row;
        std::string split;
    };
    void flush();
    void convert_prompted();
    void convert_texts();
    std::vector<Encoding> encode() const;
    [[noreturn]] void refuse_untokenizable(std::string const& why) const;
    void count_specials(std::int64_t written, bool doubled, Row const& row);
    void generation(PromptedText&& text, Waiting const& waiting);
    void classification(Encoding&& encoding, Waiting const& waiting);
    void language_modeling(Encoding&& encoding, Waiting const& waiting);

    PrepareOptions const& o_;
    Census const& census_;
    bool classify_;
    std::unordered_map<std::string, std::int32_t> label_ids_;
    Tokenizer tokenizer_;
    std::int32_t end_;
    std::map<std::string, SplitWriter> writers_;
    std::vector<Waiting> rows_;
    std::int64_t done_ = 0, cut_ = 0, apart_ = 0;
    Counted doubled_, written_, without_tokens_;
};

} // namespace trireme::launch::text
