#include "launch/text/tasks/masked_language_modeling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/tokenizer_files.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

/// Refuses a tokenizer that takes a text for one word: masking it would leave nothing.
void check_words(PrepareOptions const& o, Tokenizer const& tokenizer) {
    constexpr std::int64_t kRoom = 64; // for both words, whatever --max-length is
    auto const window = tokenizer.encode_windows({"a b"}, {}, kRoom, 0)[0].windows[0];
    std::set<std::int32_t> words(window.words.begin(), window.words.end());
    words.erase(-1);
    if (words.size() < 2)
        throw cluster::InputError(
            fmt::format("{}/tokenizer.json: pre_tokenizer: divides no text into words; legal: the "
                        "tokenizer of an encoder, whose words can be masked",
                        o.tokenizer));
}

std::int32_t mask_token(PrepareOptions const& o) {
    std::int64_t const mask = data::mask_token_of(o.tokenizer);
    if (mask < 0)
        throw cluster::InputError(
            fmt::format("{}/tokenizer_config.json: mask_token: none that tokenizer.json has; "
                        "legal: the token that the model was trained to fill in, as in "
                        "\"mask_token\": \"[MASK]\"",
                        o.tokenizer));
    return static_cast<std::int32_t>(mask);
}

/// Windows of each text, with the special tokens around each.
std::vector<WindowedText> windows_of(std::vector<Waiting> const& rows, PrepareOptions const& o,
                                     Tokenizer const& tokenizer) {
    return encode_rows(rows, [&](std::vector<Waiting> const& some) {
        std::vector<std::string> input;
        for (auto const& [row, split] : some) input.push_back(row.text);
        return tokenizer.encode_windows(input, {}, o.max_length, 0);
    });
}

/// Divides each text into windows of its own, each with the special tokens around it.
class ToMaskable : public RowConverter {
  public:
    ToMaskable(PrepareOptions const& o, Tokenizer const& tokenizer) : o_(o), tokenizer_(tokenizer) {
        static_cast<void>(mask_token(o)); // that there is one
        check_words(o, tokenizer);
    }

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto texts = windows_of(rows, o_, tokenizer_);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            auto& [windows, written] = texts[i];
            out.count_specials(written, false, rows[i].row);
            out.count_longer(windows.size() > 1);
            std::int64_t made = 0;
            for (auto& window : windows) made += add(std::move(window), rows[i], out);
            if (made == 0) out.leave_out(rows[i].row);
        }
    }

  private:
    /// Adds a window that has a word.
    static bool add(Window&& window, Waiting const& waiting, SampleSink& out) {
        data::Sample sample{.tokens = std::move(window.tokens)};
        auto& words = sample.labels[data::kWords.name];
        std::int32_t number = -1, before = -1;
        for (auto const word : window.words) {
            if (word != before && word >= 0) ++number;
            before = word;
            words.push_back(word < 0 ? data::kIgnoredLabel : number);
        }
        if (number < 0) return false;
        out.add(std::move(sample), waiting);
        return true;
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
};

class MaskedLanguageModeling : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::masked_language_modeling; }

    void declare(TaskOptions& options) const override {
        options.word("text", "NAME", "name of the text column (default: text)");
    }
    Columns columns(PrepareOptions const& o) const override { return columns_of_texts(o); }
    Words words() const override { return {.value = nullptr, .longer = "divided"}; }

    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToMaskable>(o, tokenizer);
    }
    /// Labels are the tokens to fill in: those that are the mask.
    std::vector<UnlabelledText> unlabelled(std::vector<Waiting> const& rows,
                                           PrepareOptions const& o,
                                           Tokenizer const& tokenizer) const override {
        std::int32_t const mask = mask_token(o);
        std::vector<UnlabelledText> texts;
        for (auto& text : windows_of(rows, o, tokenizer)) {
            auto& made = texts.emplace_back();
            for (auto& window : text.windows) {
                data::Sample sample{.tokens = std::move(window.tokens)};
                auto& labels = sample.labels[data::kTokenLabels.name];
                for (auto const token : sample.tokens)
                    labels.push_back(token == mask ? mask : data::kIgnoredLabel);
                made.windows.push_back(std::move(sample));
            }
        }
        return texts;
    }
    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const&) const override {
        auto const& words = micro_batch.columns.labels_of(data::kWords);
        return cluster::counted(*std::ranges::max_element(words) + 1, "word");
    }
    /// Words are set off from each other, tokens of one word are not.
    std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const&,
                             Tokenizer const& tokenizer, bool color) const override {
        auto const& words = micro_batch.columns.labels_of(data::kWords);
        std::string out, word;
        std::size_t place = 0;
        for (std::size_t t = 0; t < micro_batch.tokens.size(); ++t) {
            word += shown_token(tokenizer, micro_batch.tokens[t]);
            bool const goes_on =
                t + 1 < words.size() && data::counts(words[t]) && words[t + 1] == words[t];
            if (goes_on) continue;
            out +=
                data::counts(words[t]) ? painted(word, place, color) : dimmed(word, place, color);
            word.clear();
            ++place;
        }
        return out;
    }
};

} // namespace

TextTask const& masked_language_modeling_of_texts() {
    static MaskedLanguageModeling const task;
    return task;
}

} // namespace trireme::launch::text
