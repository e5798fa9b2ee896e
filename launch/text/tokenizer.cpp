#include "launch/text/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "launch/text/added_tokens.hpp"
#include "launch/text/tokenizer_state.hpp"

namespace trireme::launch::text {

namespace {

/// Ids may have gaps: what matters is the table that holds them all.
std::int64_t vocabulary_of(py::object const& tokenizer) {
    std::int64_t size = 0;
    for (auto const [token, id] : py::dict(tokenizer.attr("get_vocab")(true)))
        size = std::max(size, id.cast<std::int64_t>() + 1);
    return size;
}

TemplateTokens read_template(py::object const& tokenizer) {
    py::object const probe = tokenizer.attr("encode")("a");
    auto const ids = probe.attr("ids").cast<Ids>();
    auto const special = probe.attr("special_tokens_mask").cast<std::vector<int>>();
    auto const first = std::ranges::find(special, 0) - special.begin();
    auto const last = special.rend() - std::find(special.rbegin(), special.rend(), 0);
    return {{ids.begin(), ids.begin() + first}, {ids.begin() + std::max(first, last), ids.end()}};
}

std::set<std::int32_t> special_ids(py::object const& tokenizer) {
    std::set<std::int32_t> ids;
    for (auto const [id, token] : py::dict(tokenizer.attr("get_added_tokens_decoder")()))
        if (token.attr("special").cast<bool>()) ids.insert(id.cast<std::int32_t>());
    return ids;
}

std::string tokenizer_text(std::string const& folder, std::string const& file) {
    if (!cluster::is_there(file))
        throw cluster::InputError(file +
                                  ": missing; legal: a folder with the tokenizer.json of a fast "
                                  "tokenizer, as transformers writes it: python -c 'from "
                                  "transformers import AutoTokenizer as T; T.from_pretrained(\"" +
                                  folder + "\").save_pretrained(\"" + folder + "\")'");
    cluster::readable_size(file);
    cluster::refuse_lfs_pointer(file);
    return cluster::read_file(file);
}

} // namespace

Tokenizer::Tokenizer(std::string const& folder, std::int64_t max_length, bool cut_in_front,
                     std::vector<std::string> const& added)
    : state_(std::make_unique<State>(State{.folder = folder})) {
    std::string const file = folder + "/tokenizer.json";
    std::string text = tokenizer_text(folder, file);
    QuietLibrary const quiet;
    open(file, text);
    if (!added.empty()) add_tokens(file, text, added);
    if (max_length > 0)
        state_->tokenizer.attr("enable_truncation")(
            max_length, py::arg("direction") = cut_in_front ? "left" : "right");
    find_unknown(data::parse_json(file, text));
    state_->specials.erase(state_->unknown_id); // it stands for words, though files call it special
}

/// Reads by content, as the library takes only names that are UTF-8.
void Tokenizer::open(std::string const& file, std::string const& text) {
    try {
        state_->tokenizer = py::module_::import("tokenizers")
                                .attr("Tokenizer")
                                .attr("from_str")(py::str(text.data(), text.size()));
        state_->tokenizer.attr("no_padding")();
        state_->tokenizer.attr("no_truncation")();
        state_->vocabulary = vocabulary_of(state_->tokenizer);
        state_->around = read_template(state_->tokenizer);
        check_ids(state_->folder, state_->around.leading, state_->vocabulary);
        check_ids(state_->folder, state_->around.trailing, state_->vocabulary);
        state_->specials = special_ids(state_->tokenizer);
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(
            fmt::format("{}: not a tokenizer: {}; legal: the tokenizer.json of a fast tokenizer",
                        file, words_of(error)));
    } catch (py::cast_error const&) {
        throw cluster::InputError(fmt::format("{}: {}", file, kTooLarge));
    }
}

/// Opens the text that write_added_tokens writes, so that samples have the tokens of that file.
void Tokenizer::add_tokens(std::string const& file, std::string& text,
                           std::vector<std::string> const& added) {
    check_added_tokens(added);
    for (auto const& token : added)
        if (auto const known = id(token))
            throw cluster::InputError(
                fmt::format("--add-tokens: \"{}\": is token {} of {}; legal: tokens that it lacks",
                            cluster::one_line(token), *known, file));
    std::int64_t const first = state_->vocabulary;
    text = with_added_tokens(file, text, added, first);
    open(file, text);
    for (std::size_t i = 0; i < added.size(); ++i)
        if (id(added[i]) != first + static_cast<std::int64_t>(i))
            throw cluster::InputError(fmt::format(
                "--add-tokens: \"{}\": {} has gaps in its numbers, and the token would not be {}; "
                "legal: a tokenizer whose numbers follow one another",
                cluster::one_line(added[i]), file, first + static_cast<std::int64_t>(i)));
}
Tokenizer::~Tokenizer() = default;

/// Words and merges name the unknown token, pieces (Unigram) give its number.
void Tokenizer::find_unknown(nlohmann::json const& file) {
    auto const model = file.find("model");
    if (model == file.end() || !model->is_object()) return;
    auto const named = model->find("unk_token"), numbered = model->find("unk_id");
    if (named != model->end() && named->is_string()) {
        state_->unknown.name = named->get<std::string>();
        state_->unknown_id = id(state_->unknown.name).value_or(-1);
    } else if (numbered != model->end() && data::JsonKind<std::int64_t>::holds(*numbered)) {
        auto const number = numbered->get<std::int64_t>();
        if (number < 0 || number >= state_->vocabulary) return;
        state_->unknown_id = static_cast<std::int32_t>(number);
        state_->unknown.name = token(state_->unknown_id);
    }
}

UnknownTokens const& Tokenizer::unknown() const {
    return state_->unknown;
}

/// Counts unknown tokens of an encoding of `texts`, which are one text or a pair.
void Tokenizer::count_unknown(void const* encoding, std::vector<std::int32_t> const& ids,
                              std::vector<std::string const*> const& texts) const {
    auto& sum = state_->unknown;
    sum.tokens += static_cast<std::int64_t>(ids.size());
    if (state_->unknown_id < 0) return;
    py::handle const e(const_cast<PyObject*>(static_cast<PyObject const*>(encoding)));
    for (std::size_t t = 0; t < ids.size(); ++t) {
        if (ids[t] != state_->unknown_id || ++sum.unknown > kExamples) continue;
        py::object const place = e.attr("token_to_chars")(t), of = e.attr("token_to_sequence")(t);
        if (place.is_none() || of.is_none()) continue;
        py::str const text(*texts.at(of.cast<std::size_t>()));
        ++sum.words[py::str(text[py::slice(place[py::int_(0)], place[py::int_(1)], py::none())])];
    }
}

std::vector<Encoding> Tokenizer::encode(std::vector<std::string> const& texts,
                                        std::vector<std::string> const& pairs) const {
    return guarded(state_->folder, [&] {
        py::object const encode = state_->tokenizer.attr("encode");
        auto const is_looked_up = [&](Ids const& ids) {
            auto const unknown = state_->unknown_id;
            return unknown >= 0 && state_->unknown.unknown < kExamples &&
                   std::ranges::find(ids, unknown) != ids.end();
        };
        std::vector<Encoding> out;
        for (py::handle const e :
             state_->tokenizer.attr("encode_batch_fast")(batch_of(texts, pairs))) {
            std::size_t const i = out.size();
            auto& made =
                out.emplace_back(Encoding{e.attr("ids").cast<Ids>(), e.attr("type_ids").cast<Ids>(),
                                          py::len(e.attr("overflowing")) > 0});
            std::vector<std::string const*> const of =
                pairs.empty() ? std::vector{&texts[i]} : std::vector{&texts[i], &pairs[i]};
            check_ids(state_->folder, made.tokens, state_->vocabulary);
            // Places in the text cost time, and are looked at for the first unknown words alone.
            py::object const placed =
                is_looked_up(made.tokens)
                    ? py::object(pairs.empty() ? encode(texts[i]) : encode(texts[i], pairs[i]))
                    : py::reinterpret_borrow<py::object>(e);
            count_unknown(placed.ptr(), made.tokens, of);
            made.written = written_in(e, made.tokens, state_->specials);
            if (made.written > 0) state_->around.keep_once(made);
        }
        return out;
    });
}

std::vector<Tokenizer::Plain> Tokenizer::encode_plain(std::vector<std::string> const& texts,
                                                      bool count) const {
    return guarded(state_->folder, [&] {
        std::vector<Plain> out;
        for (py::handle const e :
             state_->tokenizer.attr("encode_batch")(texts, py::arg("add_special_tokens") = false)) {
            auto const& text = texts[out.size()];
            auto& made = out.emplace_back(
                Plain{e.attr("ids").cast<Ids>(),
                      e.attr("offsets").cast<std::vector<std::pair<std::size_t, std::size_t>>>()});
            if (count) count_unknown(e.ptr(), made.tokens, {&text});
            made.written = written_in(e, made.tokens, state_->specials);
        }
        return out;
    });
}

std::vector<std::string> Tokenizer::special_tokens() const {
    std::vector<std::string> tokens;
    for (auto const id : state_->specials) tokens.push_back(token(id));
    return tokens;
}

std::vector<std::vector<std::int32_t>>
Tokenizer::encode_prompts(std::vector<std::string> const& prompts) const {
    std::vector<std::vector<std::int32_t>> out;
    for (auto& plain : encode_plain(prompts, false)) {
        state_->around.put_leading(plain.tokens);
        out.push_back(std::move(plain.tokens));
    }
    return out;
}

std::vector<PromptedText>
Tokenizer::encode_prompted(std::vector<std::string> const& prompts,
                           std::vector<std::string> const& completions) const {
    std::vector<std::string> joined;
    for (std::size_t i = 0; i < prompts.size(); ++i) joined.push_back(prompts[i] + completions[i]);
    auto const parts = encode_plain(prompts, false), whole = encode_plain(joined, true),
               alone = encode_plain(completions, false);
    std::vector<PromptedText> out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        PromptedText& text = out.emplace_back(PromptedText{parts[i].tokens, alone[i].tokens, true});
        text.written = parts[i].written + alone[i].written;
        text.doubled = state_->around.put_leading(text.prompt);
        if (text.doubled) text.written -= static_cast<int>(state_->around.leading.size());
        auto const& prompt = parts[i].tokens;
        // Unknown words are one token, whatever they say: the places must agree as well.
        auto const [rest, end] = std::ranges::mismatch(whole[i].tokens, prompt);
        if (end != prompt.end()) continue;
        if (!prompt.empty() && whole[i].places[prompt.size() - 1] != parts[i].places.back())
            continue;
        text.completion.assign(rest, whole[i].tokens.end());
        text.apart = false;
    }
    return out;
}

std::vector<std::string>
Tokenizer::decode(std::vector<std::vector<std::int32_t>> const& tokens) const {
    return guarded(state_->folder, [&] {
        return state_->tokenizer.attr("decode_batch")(tokens).cast<std::vector<std::string>>();
    });
}

std::int64_t Tokenizer::vocabulary() const {
    return state_->vocabulary;
}

std::string Tokenizer::token(std::int32_t id) const {
    if (id < 0) return fmt::format("<{}>", id); // the library's ids have no sign
    py::object const token = state_->tokenizer.attr("id_to_token")(id);
    return token.is_none() ? fmt::format("<{}>", id) : token.cast<std::string>();
}

std::optional<std::int32_t> Tokenizer::id(std::string const& token) const {
    py::object const id = state_->tokenizer.attr("token_to_id")(token);
    return id.is_none() ? std::nullopt : std::optional(id.cast<std::int32_t>());
}

} // namespace trireme::launch::text
