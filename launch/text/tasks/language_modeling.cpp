#include "launch/text/tasks/language_modeling.hpp"

#include <algorithm>

#include "launch/text/tasks/texts.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

namespace {

class ToTextWindows : public RowConverter {
  public:
    ToTextWindows(PrepareOptions const& o, Tokenizer const& tokenizer)
        : o_(o), tokenizer_(tokenizer), end_(end_token(o, tokenizer)) {}

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto encodings = encode_texts(rows, o_, tokenizer_);
        for (std::size_t i = 0; i < rows.size(); ++i) divide(std::move(encodings[i]), rows[i], out);
    }

    /// Records the end token if the folder itself does not say that it ends a text.
    void finish(data::Manifest&) override {
        if (end_ >= 0 && !ends_generation(o_.tokenizer, end_)) write_stop_token(o_, end_);
    }

  private:
    /// Windows of max_length; the label of each token is the next one, also across the edge of a
    /// window.
    void divide(Encoding&& e, Waiting const& waiting, SampleSink& out) const {
        auto& tokens = e.tokens;
        bool const ended = end_ >= 0 && !tokens.empty() && tokens.back() == end_;
        out.count_specials(e.written, e.doubled, waiting.row);
        if (end_ >= 0 && !ended) tokens.push_back(end_);
        if (tokens.size() < 2) return out.leave_out(waiting.row);
        auto const window = static_cast<std::size_t>(o_.max_length);
        out.count_longer(tokens.size() > window);
        for (std::size_t first = 0; first + 1 < tokens.size(); first += window) {
            std::size_t const end = std::min(tokens.size(), first + window);
            data::Sample sample;
            sample.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(first),
                                 tokens.begin() + static_cast<std::ptrdiff_t>(end));
            auto& labels = sample.labels[data::kTokenLabels.name];
            for (std::size_t t = first + 1; t <= end; ++t)
                labels.push_back(t < tokens.size() ? tokens[t] : data::kIgnoredLabel);
            out.add(std::move(sample), waiting);
        }
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::int32_t end_;
};

class LanguageModeling : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::language_modeling; }

    void declare(TaskOptions& options) const override {
        declare_texts(options);
        declare_stop(options);
    }
    Columns columns(PrepareOptions const& o) const override { return columns_of_texts(o); }
    Words words() const override { return {.value = nullptr, .longer = "divided"}; }

    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToTextWindows>(o, tokenizer);
    }
    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        return trained_tokens(micro_batch, set);
    }
};

} // namespace

TextTask const& language_modeling_of_texts() {
    static LanguageModeling const task;
    return task;
}

} // namespace trireme::launch::text
