#include "launch/text/tasks/generation.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/error.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

std::int32_t stop_token(PrepareOptions const& o, Tokenizer const& tokenizer) {
    std::int32_t const end = end_token(o, tokenizer);
    if (end < 0)
        throw cluster::InputError(
            o.tokenizer +
            ": no end-of-text token in tokenizer_config.json, special_tokens_map.json, "
            "generation_config.json or config.json; name the token that ends a completion "
            "with --stop");
    return end;
}

class ToCompletions : public RowConverter {
  public:
    ToCompletions(PrepareOptions const& o, Tokenizer const& tokenizer)
        : o_(o), tokenizer_(tokenizer), end_(stop_token(o, tokenizer)) {}

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto texts = encode_rows(rows, [&](std::vector<Waiting> const& some) {
            std::vector<std::string> prompts, completions;
            for (auto const& [row, split] : some) {
                prompts.push_back(row.text);
                completions.push_back(row.values.front());
            }
            return tokenizer_.encode_prompted(prompts, completions);
        });
        for (std::size_t i = 0; i < rows.size(); ++i) join(std::move(texts[i]), rows[i], out);
    }

    void finish(data::Manifest&) override { write_stop_token(o_, end_); }

  private:
    /// The prompt is read and not trained; the last token of it has the completion's first as
    /// label, and the last token of the completion has the stop token, which is a label only. What
    /// max_length cuts away has no stop token either: a completion must not learn to end where it
    /// was cut. A stop token that stands in the completion itself is not trained a second time.
    void join(PromptedText&& text, Waiting const& waiting, SampleSink& out) const {
        auto const longest = static_cast<std::size_t>(o_.max_length), prompt = text.prompt.size();
        if (prompt == 0 || prompt > longest)
            throw cluster::InputError(fmt::format(
                "{}: {}: a prompt of {} tokens leaves no room for its completion; legal: 1 to {} "
                "tokens, the --max-length: shorten the prompt, or raise --max-length",
                place_of(waiting.row), o_.columns.text, prompt, o_.max_length));
        bool const ended = !text.completion.empty() && text.completion.back() == end_;
        if (ended) text.completion.pop_back();
        out.count_specials(text.written - ended, ended || text.doubled, waiting.row);
        data::Sample sample{.tokens = std::move(text.prompt)};
        sample.tokens.insert(sample.tokens.end(), text.completion.begin(), text.completion.end());
        auto& labels = sample.labels[data::kTokenLabels.name];
        labels.assign(prompt - 1, data::kIgnoredLabel);
        labels.insert(labels.end(), text.completion.begin(), text.completion.end());
        labels.push_back(end_);
        out.count_longer(sample.tokens.size() > longest);
        out.count_apart(text.apart);
        sample.tokens.resize(std::min(sample.tokens.size(), longest));
        labels.resize(sample.tokens.size());
        out.add(std::move(sample), waiting);
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::int32_t end_;
};

class Generation : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::generation; }

    void declare(TaskOptions& options) const override {
        options.word("prompt", "NAME", "name of the column that is read and not trained");
        options.word("completion", "NAME", "name of the column that is trained");
        declare_stop(options);
    }
    Columns columns(PrepareOptions const& o) const override {
        Columns columns{.text = o.value("prompt"),
                        .values = o.values("completion"),
                        .text_option = "--prompt",
                        .value_option = "--completion"};
        if (columns.text.empty() || o.value("completion").empty())
            throw cluster::InputError(
                "--prompt, --completion: missing; legal: the names of both columns" +
                columns_there(o));
        return columns;
    }
    Words words() const override {
        return {"prompt", "completion", "cut, and trained without their stop token"};
    }
    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToCompletions>(o, tokenizer);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        return trained_tokens(micro_batch, set);
    }
    /// Prompt => completion with its stop token.
    std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const&,
                             Tokenizer const& tokenizer, bool color) const override {
        return marked_tokens(tokenizer, micro_batch.tokens,
                             micro_batch.columns.labels_of(data::kTokenLabels), color);
    }
};

} // namespace

TextTask const& generation_of_texts() {
    static Generation const task;
    return task;
}

} // namespace trireme::launch::text
