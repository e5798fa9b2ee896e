#include "launch/text/converter.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::size_t kBatch = 2048; ///< rows tokenized together

std::string place_of(Row const& row) {
    return fmt::format("{}:{}", *row.file, row.line);
}

std::int32_t end_token(PrepareOptions const& o, Tokenizer const& tokenizer) {
    if (!o.stop.empty()) {
        if (auto const id = tokenizer.id(o.stop)) return *id;
        throw cluster::InputError(
            fmt::format("--stop: {}: legal: a token of {}/tokenizer.json", o.stop, o.tokenizer));
    }
    if (o.task == "classification") return -1;
    std::int32_t const end = end_of_text(o.tokenizer, tokenizer);
    if (end < 0 && o.task == "generation")
        throw cluster::InputError(
            o.tokenizer +
            ": no end-of-text token in tokenizer_config.json, special_tokens_map.json, "
            "generation_config.json or config.json; name the token that ends a completion "
            "with --stop");
    return end;
}

} // namespace

void Counted::add(Row const& row) {
    if (rows++ == 0) first = place_of(row);
}

Converter::Converter(PrepareOptions const& options, Census const& census,
                     std::vector<std::string> const& labels)
    : o_(options), census_(census), classify_(o_.task == "classification"),
      tokenizer_(o_.tokenizer, classify_ ? o_.max_length : 0, cuts_in_front(o_.tokenizer)),
      end_(end_token(o_, tokenizer_)) {
    for (auto const& label : labels)
        label_ids_.emplace(label, static_cast<std::int32_t>(label_ids_.size()));
    for (auto const& [split, rows] : census.rows)
        writers_.emplace(split,
                         SplitWriter{o_.output, split, o_.samples_per_shard, {o_.task, labels}});
}

void Converter::add(Row&& row, std::string const& split) {
    rows_.push_back({std::move(row), split});
    if (rows_.size() == kBatch) flush();
}

void Converter::finish(data::Manifest& manifest) {
    flush();
    if (isatty(STDERR_FILENO)) cluster::say("\r\033[2K");
    for (auto& [split, writer] : writers_) {
        manifest.splits[split] = writer.finish();
        if (manifest.splits[split].samples() == 0)
            throw cluster::InputError(
                fmt::format("{}: none of the {} rows of {} becomes a sample: none has more than "
                            "the tokens that the tokenizer adds; legal: one or more",
                            without_tokens_.first, census_.rows.at(split), split));
    }
    manifest.vocabulary = tokenizer_.vocabulary();
}

void Converter::flush() {
    if (rows_.empty()) return;
    o_.task == "generation" ? convert_prompted() : convert_texts();
    done_ += static_cast<std::int64_t>(rows_.size());
    rows_.clear();
    if (isatty(STDERR_FILENO))
        cluster::say("\r\033[2Ktokenized {} of {} rows ({} %)", done_, census_.used(),
                     100 * done_ / std::max<std::int64_t>(1, census_.used()));
}

/// The library refuses a batch as a whole: the row that it means is looked for one by one.
void Converter::refuse_untokenizable(std::string const& why) const {
    for (auto const& [row, split] : rows_) {
        try {
            if (o_.task == "generation")
                static_cast<void>(tokenizer_.encode_prompted({row.text}, {row.label}));
            else
                static_cast<void>(tokenizer_.encode({row.text}, o_.columns.pair.empty()
                                                                    ? std::vector<std::string>{}
                                                                    : std::vector{row.pair}));
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(fmt::format("{}: {}", place_of(row), error.what()));
        }
    }
    throw cluster::InputError(why);
}

void Converter::count_specials(std::int64_t written, bool doubled, Row const& row) {
    if (doubled) doubled_.add(row);
    if (written > 0) written_.add(row);
}

void Converter::convert_prompted() {
    std::vector<std::string> prompts, completions;
    for (auto const& [row, split] : rows_) {
        prompts.push_back(row.text);
        completions.push_back(row.label);
    }
    std::vector<PromptedText> texts;
    try {
        texts = tokenizer_.encode_prompted(prompts, completions);
    } catch (cluster::InputError const& error) {
        refuse_untokenizable(error.what());
    }
    for (std::size_t i = 0; i < rows_.size(); ++i) generation(std::move(texts[i]), rows_[i]);
}

std::vector<Encoding> Converter::encode() const {
    std::vector<std::string> texts, pairs;
    for (auto const& [row, split] : rows_) {
        texts.push_back(row.text);
        if (!o_.columns.pair.empty()) pairs.push_back(row.pair);
    }
    try {
        return tokenizer_.encode(texts, pairs);
    } catch (cluster::InputError const& error) {
        refuse_untokenizable(error.what());
    }
}

void Converter::convert_texts() {
    auto encodings = encode();
    for (std::size_t i = 0; i < rows_.size(); ++i)
        classify_ ? classification(std::move(encodings[i]), rows_[i])
                  : language_modeling(std::move(encodings[i]), rows_[i]);
}

/// The prompt is read and not trained; the last token of it has the completion's first as label,
/// and the last token of the completion has the stop token, which is a label only. What max_length
/// cuts away has no stop token either: a completion must not learn to end where it was cut. A stop
/// token that stands in the completion itself is not trained a second time.
void Converter::generation(PromptedText&& text, Waiting const& waiting) {
    auto const longest = static_cast<std::size_t>(o_.max_length), prompt = text.prompt.size();
    if (prompt == 0 || prompt > longest)
        throw cluster::InputError(
            fmt::format("{}: {}: {} tokens, after which nothing of the completion remains; "
                        "legal: 1 to --max-length {} tokens",
                        place_of(waiting.row), o_.columns.text, prompt, o_.max_length));
    bool const ended = !text.completion.empty() && text.completion.back() == end_;
    if (ended) text.completion.pop_back();
    count_specials(text.written - ended, ended || text.doubled, waiting.row);
    data::Sample sample{.tokens = std::move(text.prompt)};
    sample.tokens.insert(sample.tokens.end(), text.completion.begin(), text.completion.end());
    sample.token_labels.assign(prompt - 1, data::kIgnoredLabel);
    sample.token_labels.insert(sample.token_labels.end(), text.completion.begin(),
                               text.completion.end());
    sample.token_labels.push_back(end_);
    cut_ += sample.tokens.size() > longest;
    apart_ += text.apart;
    sample.tokens.resize(std::min(sample.tokens.size(), longest));
    sample.token_labels.resize(sample.tokens.size());
    writers_.at(waiting.split).add(std::move(sample));
}

void Converter::classification(Encoding&& e, Waiting const& waiting) {
    cut_ += e.cut;
    count_specials(e.written, e.doubled, waiting.row);
    if (e.tokens.empty()) return without_tokens_.add(waiting.row);
    data::Sample sample{.tokens = std::move(e.tokens)};
    if (std::ranges::any_of(e.segments, [](auto s) { return s != 0; }))
        sample.segments = std::move(e.segments);
    sample.label = label_ids_.at(waiting.row.label);
    writers_.at(waiting.split).add(std::move(sample));
}

/// Windows of max_length; the label of each token is the next one, also across the edge of a
/// window.
void Converter::language_modeling(Encoding&& e, Waiting const& waiting) {
    auto& tokens = e.tokens;
    bool const ended = end_ >= 0 && !tokens.empty() && tokens.back() == end_;
    count_specials(e.written, e.doubled, waiting.row);
    if (end_ >= 0 && !ended) tokens.push_back(end_);
    if (tokens.size() < 2) return without_tokens_.add(waiting.row);
    auto const window = static_cast<std::size_t>(o_.max_length);
    cut_ += tokens.size() > window;
    for (std::size_t first = 0; first + 1 < tokens.size(); first += window) {
        std::size_t const end = std::min(tokens.size(), first + window);
        data::Sample sample;
        sample.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                             tokens.begin() + static_cast<std::ptrdiff_t>(end));
        for (std::size_t t = first + 1; t <= end; ++t)
            sample.token_labels.push_back(t < tokens.size() ? tokens[t] : data::kIgnoredLabel);
        writers_.at(waiting.split).add(std::move(sample));
    }
}

} // namespace trireme::launch::text
