#include "launch/text/tokenizer_state.hpp"

namespace trireme::launch::text {

namespace {

using Places = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// Numbers by token that the library gives as None at tokens of the template.
std::vector<std::int32_t> numbers_of(py::handle e, char const* name) {
    std::vector<std::int32_t> numbers;
    for (py::handle const number : e.attr(name))
        numbers.push_back(number.is_none() ? -1 : number.cast<std::int32_t>());
    return numbers;
}

/// Special tokens are no words, though a text may have them itself.
Window window_of(py::handle e, std::set<std::int32_t> const& specials) {
    Window window{e.attr("ids").cast<Ids>(), e.attr("type_ids").cast<Ids>(),
                  numbers_of(e, "sequence_ids"), numbers_of(e, "word_ids"),
                  e.attr("offsets").cast<Places>()};
    for (std::size_t t = 0; t < window.tokens.size(); ++t)
        if (specials.contains(window.tokens[t])) window.words[t] = -1;
    return window;
}

/// Truncation of the library, for as long as this lives.
class Truncation {
  public:
    Truncation(py::object const& tokenizer, std::int64_t longest, std::int64_t stride,
               char const* strategy)
        : tokenizer_(tokenizer), before_(tokenizer.attr("truncation")) {
        tokenizer_.attr("enable_truncation")(longest, py::arg("stride") = stride,
                                             py::arg("strategy") = strategy);
    }
    ~Truncation() {
        try {
            if (before_.is_none())
                tokenizer_.attr("no_truncation")();
            else
                tokenizer_.attr("enable_truncation")(**py::dict(before_));
        } catch (py::error_already_set const&) { // it was set to these values before
        }
    }
    Truncation(Truncation const&) = delete;
    Truncation& operator=(Truncation const&) = delete;

  private:
    py::object tokenizer_, before_;
};

/// Does the tokenizer join words that it is given divided, where a text has a space between them?
bool joins_words(py::object const& tokenizer) {
    auto const encode = tokenizer.attr("encode");
    auto const ids = [](py::object const& e) { return e.attr("ids").cast<Ids>(); };
    Ids const text = ids(encode("a b", py::arg("add_special_tokens") = false));
    auto const pieces = [&](char const* second) {
        py::list list;
        list.append("a");
        list.append(second);
        return ids(
            encode(list, py::arg("is_pretokenized") = true, py::arg("add_special_tokens") = false));
    };
    return pieces("b") != text && pieces(" b") == text;
}

} // namespace

std::vector<WindowedText> Tokenizer::encode_windows(std::vector<std::string> const& texts,
                                                    std::vector<std::string> const& pairs,
                                                    std::int64_t longest,
                                                    std::int64_t stride) const {
    return guarded(state_->folder, [&] {
        Truncation const divided(state_->tokenizer, longest, stride,
                                 pairs.empty() ? "longest_first" : "only_second");
        std::vector<WindowedText> out;
        for (py::handle const e : state_->tokenizer.attr("encode_batch")(batch_of(texts, pairs))) {
            std::size_t const i = out.size();
            auto& made = out.emplace_back();
            std::vector<std::string const*> const of =
                pairs.empty() ? std::vector{&texts[i]} : std::vector{&texts[i], &pairs[i]};
            auto const add = [&](py::handle part) {
                auto& window = made.windows.emplace_back(window_of(part, state_->specials));
                check_ids(state_->folder, window.tokens, state_->vocabulary);
                count_unknown(part.ptr(), window.tokens, of);
                made.written += written_in(part, window.tokens, state_->specials);
            };
            add(e);
            for (py::handle const part : e.attr("overflowing")) add(part);
        }
        return out;
    });
}

std::vector<DividedWords>
Tokenizer::encode_words(std::vector<std::vector<std::string>> const& texts) const {
    return guarded(state_->folder, [&] {
        std::string const before = joins_words(state_->tokenizer) ? " " : "";
        py::list input;
        for (auto const& words : texts) {
            py::list list;
            for (auto const& word : words) list.append(before + word);
            input.append(list);
        }
        std::vector<DividedWords> out;
        for (py::handle const e : state_->tokenizer.attr("encode_batch")(
                 input, py::arg("is_pretokenized") = true, py::arg("add_special_tokens") = false)) {
            auto const& words = texts[out.size()];
            auto& made = out.emplace_back();
            auto const ids = e.attr("ids").cast<Ids>(), places = numbers_of(e, "word_ids");
            for (std::size_t t = 0; t < ids.size(); ++t) {
                if (places[t] < 0) continue; // of no word
                made.tokens.push_back(ids[t]);
                made.words.push_back(places[t]);
            }
            check_ids(state_->folder, made.tokens, state_->vocabulary);
            made.written = written_in(e, ids, state_->specials);
            count_unknown_words(made, words);
        }
        return out;
    });
}

void Tokenizer::count_unknown_words(DividedWords const& made,
                                    std::vector<std::string> const& words) const {
    auto& sum = state_->unknown;
    sum.tokens += static_cast<std::int64_t>(made.tokens.size());
    for (std::size_t t = 0; t < made.tokens.size(); ++t)
        if (state_->unknown_id >= 0 && made.tokens[t] == state_->unknown_id &&
            ++sum.unknown <= kExamples)
            ++sum.words[words.at(static_cast<std::size_t>(made.words[t]))];
}

std::vector<std::int32_t> const& Tokenizer::leading() const {
    return state_->around.leading;
}
std::vector<std::int32_t> const& Tokenizer::trailing() const {
    return state_->around.trailing;
}
std::int64_t Tokenizer::added_to_pairs() const {
    return state_->tokenizer.attr("num_special_tokens_to_add")(true).cast<std::int64_t>();
}

} // namespace trireme::launch::text
