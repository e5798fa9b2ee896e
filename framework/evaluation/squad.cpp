#include "framework/evaluation/squad.hpp"

#include <algorithm>
#include <array>
#include <boost/locale/encoding_utf.hpp>
#include <clocale>
#include <cwctype>
#include <map>

#include "cluster/error.hpp"

namespace trireme::framework::evaluation {

namespace {

using boost::locale::conv::utf_to_utf;

constexpr std::u32string_view kPunctuation = U"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
constexpr std::array<std::u32string_view, 3> kArticles{U"a", U"an", U"the"};

locale_t unicode() {
    static locale_t const locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (!locale)
        throw cluster::JobError("no locale C.UTF-8 on this system, by which letters are told");
    return locale;
}

/// Tells blanks as Python's str.split does.
bool is_blank(char32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}
/// A letter or a digit, at whose side an article is part of a longer word.
bool is_of_word(char32_t c) {
    return iswalnum_l(static_cast<wint_t>(c), unicode()) != 0;
}

std::u32string lowered(std::string_view text) {
    std::u32string out;
    for (char32_t const c : utf_to_utf<char32_t>(text.data(), text.data() + text.size())) {
        if (c == 0x130) { // the one letter whose small form is two
            out += U"i\u0307";
            continue;
        }
        auto const small = static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), unicode()));
        if (kPunctuation.find(small) == std::u32string_view::npos) out += small;
    }
    return out;
}

/// Every article becomes a blank, each time it stands between what is no letter.
std::u32string without_articles(std::u32string const& text) {
    std::u32string out;
    for (std::size_t first = 0, end; first < text.size(); first = end) {
        bool const word = is_of_word(text[first]);
        for (end = first + 1; end < text.size() && is_of_word(text[end]) == word;) ++end;
        auto const part = text.substr(first, end - first);
        out += std::ranges::find(kArticles, std::u32string_view(part)) != kArticles.end() ? U" "
                                                                                          : part;
    }
    return out;
}

double f1_of(std::vector<std::string> const& given, std::vector<std::string> const& right) {
    if (given.empty() || right.empty()) return given.empty() && right.empty();
    std::map<std::string, std::ptrdiff_t> left;
    for (auto const& word : right) ++left[word];
    std::ptrdiff_t const same =
        std::ranges::count_if(given, [&](auto const& word) { return left[word]-- > 0; });
    if (same == 0) return 0;
    double const precision = static_cast<double>(same) / static_cast<double>(given.size()),
                 recall = static_cast<double>(same) / static_cast<double>(right.size());
    return 2 * precision * recall / (precision + recall);
}

} // namespace

std::vector<std::string> words_of_answer(std::string_view text) {
    std::vector<std::string> words;
    std::u32string word;
    for (char32_t const c : without_articles(lowered(text)) + U" ") {
        if (!is_blank(c)) {
            word += c;
            continue;
        }
        if (!word.empty()) words.push_back(utf_to_utf<char>(word));
        word.clear();
    }
    return words;
}

AnswerScore score_of_answer(std::string_view given, std::vector<std::string> const& right) {
    auto const words = words_of_answer(given);
    std::vector<std::vector<std::string>> legal;
    for (auto const& answer : right)
        if (auto of_answer = words_of_answer(answer); !of_answer.empty())
            legal.push_back(std::move(of_answer));
    if (legal.empty()) legal.emplace_back();
    AnswerScore best;
    for (auto const& answer : legal) {
        best.exact = std::max(best.exact, words == answer ? 1.0 : 0.0);
        best.f1 = std::max(best.f1, f1_of(words, answer));
    }
    return best;
}

} // namespace trireme::framework::evaluation
