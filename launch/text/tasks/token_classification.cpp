#include "launch/text/tasks/token_classification.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tasks/class_names.hpp"
#include "launch/text/tasks/conll.hpp"
#include "launch/text/tasks/sentence_parts.hpp"
#include "launch/text/tasks/tags.hpp"
#include "launch/text/tasks/texts.hpp"
#include "launch/text/tasks/words.hpp"

namespace trireme::launch::text {

namespace {

class ToWordClasses : public RowConverter {
  public:
    ToWordClasses(PrepareOptions const& o, Tokenizer const& tokenizer,
                  std::vector<std::string> const& labels)
        : o_(o), tokenizer_(tokenizer), room_(room_of_words(o, tokenizer)),
          stride_(stride_of(o, "windows", room_)) {
        for (auto const& label : labels)
            ids_.emplace(label, static_cast<std::int32_t>(ids_.size()));
    }

    void convert(std::vector<Waiting> const& rows, SampleSink& out) override {
        auto const encoded = encode_rows(rows, [&](std::vector<Waiting> const& some) {
            std::vector<std::vector<std::string>> words;
            for (auto const& [row, split] : some)
                words.push_back(row.structured.front().get<std::vector<std::string>>());
            return tokenizer_.encode_words(words);
        });
        for (std::size_t i = 0; i < rows.size(); ++i) add(encoded[i], rows[i], out);
    }

  private:
    void add(DividedWords const& encoded, Waiting const& waiting, SampleSink& out) const {
        auto const& tags = waiting.row.values;
        Sentence sentence{encoded.tokens};
        std::size_t met = 0;
        for (std::size_t t = 0; t < encoded.tokens.size(); ++t) {
            bool const begins = t == 0 || encoded.words[t] != encoded.words[t - 1];
            std::string const& tag = tags.at(static_cast<std::size_t>(encoded.words[t]));
            char const letter = tag_of(tag).letter;
            met += begins;
            sentence.classes.push_back(begins ? ids_.at(tag) : data::kIgnoredLabel);
            sentence.begins.push_back(begins);
            sentence.splits.push_back(begins && letter != 'I' && letter != 'E');
        }
        out.count_specials(encoded.written, false, waiting.row);
        out.tell("words without a token, whose tags are left out", tags.size() - met, waiting.row);
        out.tell("tags that were repaired", waiting.row.structured.at(2).get<std::size_t>(),
                 waiting.row);
        if (sentence.size() == 0) return out.leave_out(waiting.row);
        auto const parts =
            parts_of(sentence, static_cast<std::size_t>(room_), static_cast<std::size_t>(stride_));
        out.count_longer(parts.size() > 1);
        for (auto const& part : parts) {
            out.add(sample_of(sentence, part, tokenizer_.leading(), tokenizer_.trailing()),
                    waiting);
            if (!o_.given("windows")) break;
        }
    }

    PrepareOptions const& o_;
    Tokenizer const& tokenizer_;
    std::int64_t room_, stride_;
    std::unordered_map<std::string, std::int32_t> ids_;
};

/// The line of a word, for messages.
std::string place_of_word(Row const& row, std::size_t i, std::string const& column) {
    if (!is_conll(*row.file)) return fmt::format("{}: {}[{}]", place_of(row), column, i);
    return fmt::format("{}:{}", *row.file, row.line + static_cast<std::int64_t>(i));
}

/// Names of tags; numbers are those of --labels.
std::vector<std::string> tag_names(nlohmann::ordered_json const& tags, Row const& row,
                                   PrepareOptions const& o) {
    std::string const& column = o.columns.values.front();
    auto const labels = o.values("labels");
    std::vector<std::string> names;
    for (std::size_t i = 0; i < tags.size(); ++i) {
        if (tags[i].is_string() && !is_blank(tags[i].get<std::string>())) {
            names.push_back(tags[i].get<std::string>());
            continue;
        }
        auto const number = tags[i].is_number_integer() ? tags[i].get<std::int64_t>() : -1;
        if (number < 0 || number >= std::ssize(labels))
            throw cluster::InputError(fmt::format(
                "{}: {}: legal: {}", place_of_word(row, i, column), data::shown(tags[i]),
                tags[i].is_number_integer() && !labels.empty()
                    ? fmt::format("0 to {}, the places in --labels", labels.size() - 1)
                    : "the name of a tag, or a number with --labels, which names them in order"));
        names.push_back(labels[static_cast<std::size_t>(number)]);
    }
    return names;
}

class TokenClassification : public TextTask {
  public:
    data::TaskKind kind() const override { return data::TaskKind::token_classification; }

    void declare(TaskOptions& options) const override {
        options.word("text", "NAME", "name of the column with the list of words (default: tokens)");
        options.words("label", "NAME",
                      "name of the column with the list of their tags (default: tags)");
        options.words("labels", "NAME...",
                      "the tags in the order of their numbers, which rows may have in place of "
                      "names, those included that no row of training has; default: as for "
                      "classification");
        options.flag("repair-tags",
                     "take an I- that follows no tag of its kind as B-, and the like, and count "
                     "them; else they are refused");
        options.word(
            "windows", "STRIDE",
            "a sentence that is longer than --max-length becomes several samples in place "
            "of one that is cut, each with the last STRIDE tokens of the one before, whose "
            "tags do not count again");
        options.flag("drop-unlabelled", "leave out rows whose tags are missing or null, and count "
                                        "them; else they are refused");
    }

    Columns columns(PrepareOptions const& o) const override {
        Columns columns{.text = o.given("text") ? o.value("text") : "tokens",
                        .values =
                            o.given("label") ? o.values("label") : std::vector<std::string>{"tags"},
                        .may_lack = true};
        if (columns.values.size() != 1 || columns.values.front().empty())
            throw cluster::InputError(fmt::format(
                "--label: {}; legal: the name of the column with the tags{}",
                columns.values.size() > 1 ? fmt::format("{} names", columns.values.size())
                                          : "missing",
                columns_there(o)));
        return columns;
    }
    Words words() const override { return {"sentence", "row of tags"}; }

    void read(std::string const& file, PrepareOptions const& o,
              std::function<void(Row&&)> const& each) const override {
        auto const take = [&](Row&& row) {
            take_lists(row, o);
            each(std::move(row));
        };
        if (is_conll(file)) return read_conll(file, take);
        Columns columns = o.columns;
        columns.structured = {columns.text, columns.values.front()};
        columns.text.clear();
        columns.values.clear();
        read_rows(file, columns, take);
    }

    void read_unlabelled(std::string const& file, PrepareOptions const& o,
                         std::function<void(Row&&)> const& each) const override {
        read_words(file, o, each);
    }
    std::vector<UnlabelledText> unlabelled(std::vector<Waiting> const& rows,
                                           PrepareOptions const& o,
                                           Tokenizer const& tokenizer) const override {
        return unlabelled_words(rows, o, tokenizer);
    }

    void take(Row const& row, std::string const& split, PrepareOptions const&,
              Census& census) const override {
        for (std::size_t i = 0; i < row.values.size(); ++i) {
            ++census.labels[split][row.values[i]];
            auto const line = row.line + (is_conll(*row.file) ? static_cast<std::int64_t>(i) : 0);
            census.first.try_emplace(row.values[i], Census::Place{row.file, line});
        }
    }
    std::vector<std::string> labels(Census const& census, PrepareOptions const& o) const override {
        bool const entities = std::ranges::any_of(census.first, [](auto const& found) {
            auto const letter = tag_of(found.first).letter;
            return letter == 'B' || letter == 'I';
        });
        for (auto const& [tag, place] : census.first)
            if (entities && tag_of(tag).letter == 0)
                throw cluster::InputError(fmt::format(
                    "{}:{}: {}: {}: legal: O, or B-, I-, E- or S- with the kind of an entity, as "
                    "other tags of the files have it",
                    *place.file, place.line, o.columns.values.front(), cluster::one_line(tag)));
        auto names = label_names(census, o);
        if (names.size() < 2)
            throw cluster::InputError(fmt::format(
                "{}: {}: one tag only ({}); legal: two or more", o.files.begin()->second.front(),
                o.columns.values.front(), cluster::one_line(names.front())));
        return names;
    }
    std::unique_ptr<RowConverter> converter(PrepareOptions const& o, Tokenizer const& tokenizer,
                                            std::vector<std::string> const& labels) const override {
        return std::make_unique<ToWordClasses>(o, tokenizer, labels);
    }

    std::string shown_label(data::MicroBatch const& micro_batch,
                            data::Dataset const& set) const override {
        std::int64_t words = 0, entities = 0;
        for (auto const label : micro_batch.columns.labels_of(data::kTokenClasses)) {
            if (!data::counts(label)) continue;
            auto const letter =
                tag_of(set.label_names().at(static_cast<std::size_t>(label))).letter;
            ++words;
            entities += letter == 'B' || letter == 'S';
        }
        return cluster::counted(words, "word") +
               (entities ? fmt::format(", {} begin an entity", entities) : "");
    }
    /// Words that are of an entity, or have a tag of another kind, are coloured by it and followed
    /// by it.
    std::string shown_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set,
                             Tokenizer const& tokenizer, bool color) const override {
        auto const& labels = micro_batch.columns.labels_of(data::kTokenClasses);
        std::string out;
        for (std::size_t t = 0; t < micro_batch.tokens.size(); ++t) {
            std::string const token = shown_token(tokenizer, micro_batch.tokens[t]);
            std::string const name = data::counts(labels[t])
                                         ? set.label_names().at(static_cast<std::size_t>(labels[t]))
                                         : "";
            if (name.empty() || name == "O") {
                out += dimmed(token, t, color);
                continue;
            }
            std::string const kind = tag_of(name).letter ? tag_of(name).kind : name;
            out += tinted(token + ":" + cluster::one_line(name), t, kind, color);
        }
        return out;
    }

  private:
    /// Texts and values of the lists, which are checked; how many tags were repaired stands behind
    /// the lists.
    static void take_lists(Row& row, PrepareOptions const& o) {
        std::string const& column = o.columns.values.front();
        row.structured[0] = opened(row, o.columns.text, std::move(row.structured[0]));
        row.structured[1] = opened(row, column, std::move(row.structured[1]));
        auto const &words = row.structured[0], &tags = row.structured[1];
        check_words(words, row, o.columns.text);
        row.text = fmt::format("{}", fmt::join(words.get<std::vector<std::string>>(), " "));
        row.unlabelled = tags.is_null();
        row.values = {""};
        if (row.unlabelled) return;
        if (!tags.is_array())
            throw cluster::InputError(fmt::format("{}: {}: {}: legal: a list of tags, one for each "
                                                  "word",
                                                  place_of(row), column, data::shown(tags)));
        if (tags.size() != words.size())
            throw cluster::InputError(fmt::format("{}: {}: {} for {}; legal: one for each word",
                                                  place_of(row), column,
                                                  cluster::counted(std::ssize(tags), "tag"),
                                                  cluster::counted(std::ssize(words), "word")));
        auto const before = tag_names(tags, row, o);
        row.values = before;
        auto const wrong = repair(row.values);
        std::size_t changed = 0;
        for (std::size_t i = 0; i < before.size(); ++i) changed += before[i] != row.values[i];
        row.structured.emplace_back(changed);
        if (wrong.empty() || o.given("repair-tags")) return;
        auto const& first = wrong.front();
        throw cluster::InputError(fmt::format("{}: {}; legal: {}, as which --repair-tags takes it",
                                              place_of_word(row, first.place, column),
                                              cluster::one_line(first.what),
                                              cluster::one_line(first.repaired)));
    }
};

} // namespace

TextTask const& token_classification_of_texts() {
    static TokenClassification const task;
    return task;
}

} // namespace trireme::launch::text
