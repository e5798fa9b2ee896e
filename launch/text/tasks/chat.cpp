#include "launch/text/tasks/chat.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/token_weights.hpp"
#include "launch/text/chat/chat.hpp"
#include "launch/text/chat/marked.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/generation.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kShownTokens = 400;

/// Names under which the renderer knows columns, in the order of columns_of.
constexpr std::array kKeys{"turns",       "conversations", "tools", "system",
                           "instruction", "input",         "output"};

std::vector<std::string> chat_columns(PrepareOptions const& o) {
    std::string const turns = o.given("messages") ? o.value("messages") : "messages";
    return {turns, "conversations", "tools", "system", "instruction", "input", "output"};
}

class ToTurns : public RowConverter {
  public:
    ToTurns(PrepareOptions const& o, Tokenizer const& tokenizer)
        : o_(o), tokenizer_(tokenizer),
          chat_(o.tokenizer, o.value("chat-template"), specials_of(o, tokenizer)) {}

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        std::vector<std::string> texts;
        std::vector<Part> parts;
        for (auto const& row : rows) render(row, texts, parts, out);
        auto encoded = encode_rows_of(texts, parts);
        for (std::size_t i = 0; i < parts.size(); ++i) add(std::move(encoded[i]), parts[i], out);
    }

    /// Writes the tokens that end a generation and the template of the data, so that an export
    /// answers by the same rules that it was trained by.
    void finish(data::Manifest&) override {
        std::vector<std::pair<std::int64_t, std::int32_t>> often;
        for (auto const& [token, turns] : stops_)
            if (auto const id = tokenizer_.id(token)) often.emplace_back(turns, *id);
        std::ranges::sort(often, std::greater());
        std::vector<std::int32_t> stops;
        for (auto const& [turns, id] : often) stops.push_back(id);
        if (!stops.empty()) write_stop_tokens(o_, stops);
        if (auto const text = chat_.asked_template(); !text.empty()) write_template(text);
    }

    std::string told() const override {
        std::string text = fmt::format("  rows are of the form {}\n", form_);
        for (auto const& [rule, conversations] : rules_)
            text += fmt::format("  trained turns found by {}: {}\n", rule,
                                cluster::counted(conversations, "conversation"));
        if (untrained_.rows)
            text += fmt::format("  {} left out, since no trained token remains (first {})\n",
                                cluster::counted(untrained_.rows, "sample"), untrained_.first);
        if (crossing_)
            text += fmt::format("  {} on both sides of a turn's boundary: read if it begins in "
                                "front of the turn, else trained\n",
                                cluster::counted(crossing_, "token"));
        if (unended_)
            text +=
                fmt::format("  {} without a special token at the end: nothing ends them in "
                            "generation; --stop TOKEN names what does, --add-tokens TOKEN makes "
                            "one\n",
                            cluster::counted(unended_, "turn"));
        if (weights_.size() > 1 || (!weights_.empty() && !weights_.contains(1)))
            for (auto const& [weight, turns] : weights_)
                text += fmt::format("  {} of weight {} in the loss\n",
                                    cluster::counted(turns, "trained turn"), weight);
        return text + shown_;
    }

  private:
    struct Part {
        Waiting const* of;
        std::vector<TrainedSpan> trained;
    };

    static std::vector<std::string> specials_of(PrepareOptions const& o,
                                                Tokenizer const& tokenizer) {
        auto tokens = tokenizer.special_tokens();
        if (o.given("stop")) {
            static_cast<void>(end_token(o, tokenizer)); // that it is a token
            tokens.push_back(o.value("stop"));
        }
        return tokens;
    }

    OrderedJson row_of(Waiting const& waiting) const {
        OrderedJson row = OrderedJson::object();
        auto const names = chat_columns(o_);
        for (std::size_t i = 0; i < names.size(); ++i) row[kKeys[i]] = waiting.row.structured.at(i);
        bool const other = row["turns"].is_null() && !row["conversations"].is_null();
        row["name"] = names[other ? 1 : 0];
        if (other) row["turns"] = row["conversations"];
        row.erase("conversations");
        return row;
    }

    void render(Waiting const& waiting, std::vector<std::string>& texts, std::vector<Part>& parts,
                SampleSink& out) {
        try {
            auto const row = row_of(waiting);
            if (form_.empty()) form_ = chat_.choose_form(o_.value("form"), row);
            auto conversation = chat_.render(row);
            ++rules_[conversation.rule];
            out.count_specials(conversation.written, false, waiting.row);
            for (auto& sample : conversation.samples) {
                texts.push_back(std::move(sample.text));
                parts.push_back({&waiting, std::move(sample.trained)});
            }
            if (conversation.samples.empty()) untrained_.add(waiting.row);
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(place_of(waiting.row) + ": " + error.what());
        }
    }

    std::vector<Tokenizer::Plain> encode_rows_of(std::vector<std::string> const& texts,
                                                 std::vector<Part> const& parts) const {
        try {
            return tokenizer_.encode_rendered(texts);
        } catch (cluster::InputError const&) {
            for (std::size_t i = 0; i < texts.size(); ++i) try {
                    static_cast<void>(tokenizer_.encode_rendered({texts[i]}));
                } catch (cluster::InputError const& error) {
                    throw cluster::InputError(place_of(parts[i].of->row) + ": " + error.what());
                }
            throw;
        }
    }

    /// The last trained token is a label only, and what follows it is left out.
    void add(Tokenizer::Plain&& plain, Part const& part, SampleSink& out) {
        Marked const made = mark(tokenizer_, std::move(plain), part.trained);
        auto const longest = static_cast<std::size_t>(o_.max_length);
        auto const last = std::ranges::find_if(made.weights.rbegin(), made.weights.rend(),
                                               [](auto weight) { return weight > 0; });
        auto const end = static_cast<std::size_t>(made.weights.rend() - last);
        std::size_t const size = end == 0 ? 0 : std::min(end - 1, longest);
        crossing_ += made.crossing;
        unended_ += made.unended;
        data::Sample sample{.tokens = {made.tokens.begin(),
                                       made.tokens.begin() + static_cast<std::ptrdiff_t>(size)}};
        auto& labels = sample.labels[data::kTokenLabels.name];
        for (std::size_t t = 1; t <= size; ++t)
            labels.push_back(made.weights[t] ? made.tokens[t] : data::kIgnoredLabel);
        if (std::ranges::all_of(labels, [](auto label) { return label < 0; }))
            return untrained_.add(part.of->row);
        out.count_longer(end > longest + 1);
        for (auto const& span : part.trained) {
            ++stops_[span.stop];
            ++weights_[span.weight];
        }
        weigh(made, sample);
        if (shown_.empty()) show(sample, *part.of);
        out.add(std::move(sample), *part.of);
    }

    /// Samples whose turns all have the weight 1 have no column of weights.
    static void weigh(Marked const& made, data::Sample& sample) {
        std::vector<std::int32_t> weights(made.weights.begin() + 1,
                                          made.weights.begin() + 1 + std::ssize(sample.tokens));
        if (weights != data::equal_weights(sample.labels.at(data::kTokenLabels.name)))
            sample.labels[data::kTokenWeights.name] = std::move(weights);
    }

    void show(data::Sample const& sample, Waiting const& of) {
        bool const color = isatty(STDOUT_FILENO) != 0;
        auto const& labels = sample.labels.at(data::kTokenLabels.name);
        shown_ = fmt::format("  the first sample ({}), trained tokens behind =>:\n    ",
                             place_of(of.row)) +
                 marked_tokens(tokenizer_, sample.tokens, labels, color, kShownTokens) + "\n";
    }

    /// Writes the template to a file of its own, and takes it out of the others that transformers
    /// reads, as it would prefer them.
    void write_template(std::string const& text) const {
        cluster::write_file(o_.output + "/chat_template.jinja", text);
        for (std::string const name : {"/tokenizer_config.json", "/chat_template.json"}) {
            if (!cluster::is_there(o_.tokenizer + name)) continue;
            auto json = data::parse_json<OrderedJson>(o_.tokenizer + name,
                                                      cluster::read_file(o_.tokenizer + name));
            if (json.is_object()) json.erase("chat_template");
            cluster::write_file(o_.output + name, json.dump(2) + "\n");
        }
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    Chat chat_;
    std::string form_, shown_;
    std::map<std::string, std::int64_t> rules_, stops_; ///< conversations, turns
    std::map<double, std::int64_t> weights_;            ///< turns
    std::int64_t crossing_ = 0, unended_ = 0;
    Counted untrained_;
};

class Conversations : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::generation; }
    bool divides() const override { return false; } // rules and stop tokens are of all rows

    void declare(TaskOptions& options) const override {
        options.word("messages", "NAME",
                     "name of the column with the turns (default: messages, or conversations)");
        options.word("form", "FORM",
                     "messages | sharegpt | alpaca; default: by the columns of the first row");
        options.word("chat-template", "FILE|NAME",
                     "template that makes a text of a conversation: a file, the name of one of the "
                     "tokenizer's, or chatml; default: the tokenizer's");
        declare_stop(options);
    }
    Columns columns(PrepareOptions const& o) const override {
        std::string const form = o.value("form");
        if (o.given("form") && form != "messages" && form != "sharegpt" && form != "alpaca")
            throw cluster::InputError("--form: " + cluster::one_line(form) +
                                      ": legal: messages, sharegpt, alpaca");
        return {.text = "", .structured = chat_columns(o), .text_option = "--messages"};
    }
    Words words() const override {
        return {.text = "conversation",
                .value = nullptr,
                .longer = "cut at the end, so that what was cut learns no stop token"};
    }

    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const&) const override {
        return std::make_unique<ToTurns>(o, tokenizer);
    }
    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        return generation_of_texts().shown_label(micro_batch, set);
    }
    std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set,
                             Tokenizer const& tokenizer, bool color) const override {
        return generation_of_texts().shown_tokens(micro_batch, set, tokenizer, color);
    }
};

} // namespace

TextTask const& chat_of_texts() {
    static Conversations const task;
    return task;
}

} // namespace trireme::launch::text
