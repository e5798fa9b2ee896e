#include "launch/text/tasks/words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/algorithm/string.hpp>
#include <utility>

#include "cluster/error.hpp"
#include "data/json.hpp"
#include "launch/text/file_kind.hpp"
#include "launch/text/tasks/conll.hpp"
#include "launch/text/tasks/sentence_parts.hpp"
#include "launch/text/tasks/texts.hpp"

namespace trireme::launch::text {

namespace {

using WordList = std::vector<std::string>;

WordList words_in(std::string text) {
    boost::algorithm::trim_if(text, boost::algorithm::is_any_of(" \t\r\n"));
    WordList words;
    if (!text.empty())
        boost::algorithm::split(words, text, boost::algorithm::is_any_of(" \t\r\n"),
                                boost::algorithm::token_compress_on);
    return words;
}

WordList words_of(Row const& row) {
    return row.structured.empty() ? words_in(row.text) : row.structured.front().get<WordList>();
}

/// Takes a list, a text of JSON that is one, or a text.
void take_words(Row& row, std::string const& column) {
    auto& words = row.structured.front();
    if (words.is_string()) {
        auto const text = words.get<std::string>();
        words = text.starts_with('[') && text.ends_with(']')
                    ? opened(row, column, words)
                    : nlohmann::ordered_json(words_in(text));
    }
    check_words(words, row, column);
    row.text = fmt::format("{}", fmt::join(words.get<WordList>(), " "));
}

/// The sentence with the place of each word in the list as its class.
Sentence sentence_of(DividedWords const& encoded) {
    Sentence sentence{encoded.tokens};
    for (std::size_t t = 0; t < encoded.tokens.size(); ++t) {
        bool const begins = t == 0 || encoded.words[t] != encoded.words[t - 1];
        sentence.classes.push_back(begins ? encoded.words[t] : data::kIgnoredLabel);
        sentence.begins.push_back(begins);
    }
    sentence.splits = sentence.begins;
    return sentence;
}

/// Takes the places of words from where classes stand, of which any is legal.
void add_parts(Sentence const& sentence, std::vector<Part> const& parts, Tokenizer const& tokenizer,
               UnlabelledText& text) {
    for (auto const& part : parts) {
        auto& sample = text.windows.emplace_back(
            sample_of(sentence, part, tokenizer.leading(), tokenizer.trailing()));
        for (auto& word : sample.labels.at(data::kTokenClasses.name))
            if (data::counts(word)) text.word_places.push_back(std::exchange(word, 0));
    }
}

} // namespace

void check_words(nlohmann::ordered_json const& value, Row const& row, std::string const& column) {
    if (!data::JsonKind<WordList>::holds(value))
        throw cluster::InputError(fmt::format("{}: {}: {}: legal: a list of words", place_of(row),
                                              column, data::shown(value)));
}

std::int64_t room_of_words(PrepareOptions const& o, Tokenizer const& tokenizer) {
    auto const added = std::ssize(tokenizer.leading()) + std::ssize(tokenizer.trailing());
    if (o.max_length <= added)
        throw cluster::InputError(
            fmt::format("--max-length: {}: legal: {} or more, as the tokenizer adds {} tokens",
                        o.max_length, added + 1, added));
    return o.max_length - added;
}

void read_words(std::string const& file, PrepareOptions const& o,
                std::function<void(Row&&)> const& each) {
    std::string const column = o.given("text") ? o.value("text") : "tokens";
    auto const take = [&](Row&& row) {
        row.structured.resize(1); // CoNLL's have tags behind it
        take_words(row, column);
        each(std::move(row));
    };
    if (is_conll(file)) return read_conll(file, take);
    if (has_ending(file, ".txt")) return read_rows(file, {}, each);
    Columns columns{.text = ""};
    columns.structured = {column};
    read_rows(file, columns, take);
}

std::vector<UnlabelledText> unlabelled_words(std::vector<Waiting> const& rows,
                                             PrepareOptions const& o, Tokenizer const& tokenizer) {
    auto const room = room_of_words(o, tokenizer), stride = stride_of(o, "windows", room);
    auto const encoded = encode_rows(rows, [&](std::vector<Waiting> const& some) {
        std::vector<WordList> words;
        for (auto const& waiting : some) words.push_back(words_of(waiting.row));
        return tokenizer.encode_words(words);
    });
    std::vector<UnlabelledText> texts(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        texts[i].words = words_of(rows[i].row);
        Sentence const sentence = sentence_of(encoded[i]);
        auto parts =
            parts_of(sentence, static_cast<std::size_t>(room), static_cast<std::size_t>(stride));
        texts[i].cut = parts.size() > 1 && !o.given("windows");
        if (texts[i].cut) parts.resize(1);
        add_parts(sentence, parts, tokenizer, texts[i]);
    }
    return texts;
}

} // namespace trireme::launch::text
