#include "launch/text/pieces.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace trireme::launch::text {

using Json = nlohmann::json;

namespace {

/// Blanks of Unicode (White_Space).
bool is_blank_letter(std::string_view letter) {
    constexpr std::array<std::string_view, 25> kBlanks{
        " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\u0085", "\u00a0", "\u1680",
        "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
        "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
    return std::ranges::find(kBlanks, letter) != kBlanks.end();
}

/// A text by letters (code points), and its words.
class Letters {
  public:
    explicit Letters(std::string const& text) : text_(text) {
        bool inside = false;
        for (std::size_t i = 0; i < text.size();) {
            std::size_t end = i + 1;
            while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
                ++end;
            bool const blank = is_blank_letter(std::string_view(text).substr(i, end - i));
            if (!blank && !inside) words_.emplace_back();
            inside = !blank;
            if (inside) words_.back() += text.substr(i, end - i);
            word_of_.push_back(blank ? -1 : static_cast<std::int64_t>(words_.size()) - 1);
            begins_.push_back(i);
            i = end;
        }
        begins_.push_back(text.size());
    }
    std::vector<std::string> const& words() const { return words_; }
    std::string between(std::int64_t first, std::int64_t end) const {
        return text_.substr(at(first), at(end) - at(first));
    }
    bool is_blank(std::int64_t letter) const {
        return word_of_[static_cast<std::size_t>(letter)] < 0;
    }
    /// The word of the first letter from `first` on that is none of the blanks; else the last.
    std::int64_t word_from(std::int64_t first) const {
        auto const from = word_of_.begin() + std::min<std::int64_t>(first, std::ssize(word_of_));
        auto const found = std::find_if(from, word_of_.end(), [](auto word) { return word >= 0; });
        return found == word_of_.end() ? std::ssize(words_) - 1 : *found;
    }

  private:
    std::size_t at(std::int64_t letter) const {
        return begins_[std::min(static_cast<std::size_t>(letter), begins_.size() - 1)];
    }
    std::string const& text_;
    std::vector<std::string> words_;
    std::vector<std::int64_t> word_of_; ///< by letter, -1 for blanks
    std::vector<std::size_t> begins_;   ///< by letter, and the end
};

Json pieces_of(Window const& window, std::vector<Letters> const& texts,
               Tokenizer const& tokenizer) {
    Json made{{"tokens", window.tokens},
              {"texts", Json::array()},
              {"places", Json::array()},
              {"words", Json::array()}};
    std::vector<std::int64_t> first_word, end(texts.size(), 0);
    for (auto const& text : texts) {
        first_word.push_back(std::ssize(made["words"]));
        for (auto const& word : text.words()) made["words"].push_back(word);
    }
    for (std::size_t t = 0; t < window.tokens.size(); ++t) {
        auto const of = static_cast<std::size_t>(window.texts[t]);
        if (window.texts[t] < 0 || window.words[t] < 0) {
            made["texts"].push_back(tokenizer.token(window.tokens[t]));
            made["places"].push_back(-1);
            continue;
        }
        auto [first, last] = window.places[t];
        made["places"].push_back(first_word[of] + texts[of].word_from(first));
        while (first > end[of] && texts[of].is_blank(first - 1)) --first;
        made["texts"].push_back(texts[of].between(first, last));
        end[of] = last;
    }
    return made;
}

} // namespace

Json pieces_of(Json const& request, Tokenizer const& tokenizer) {
    auto const texts = request.at("pieces").get<std::vector<std::string>>(),
               pairs = request.at("pairs").get<std::vector<std::string>>();
    auto const encoded =
        tokenizer.encode_windows(texts, pairs, request.at("longest").get<std::int64_t>(), 0);
    Json answer{{"pieces", Json::array()}};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        std::vector<Letters> letters;
        letters.emplace_back(texts[i]);
        if (!pairs.empty()) letters.emplace_back(pairs[i]);
        answer["pieces"].push_back(pieces_of(encoded[i].windows.front(), letters, tokenizer));
    }
    return answer;
}

} // namespace trireme::launch::text
