#include "launch/text/tokenizer.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::launch::text {

namespace py = pybind11;

struct Tokenizer::State {
    std::string folder;
    py::object tokenizer;
    std::vector<std::int32_t> leading; ///< special tokens that the template puts in front of a text
};

namespace {

std::vector<std::int32_t> leading_specials(py::object const& tokenizer) {
    py::object const probe = tokenizer.attr("encode")("a");
    auto ids = probe.attr("ids").cast<std::vector<std::int32_t>>();
    auto const special = probe.attr("special_tokens_mask").cast<std::vector<int>>();
    ids.resize(static_cast<std::size_t>(std::ranges::find(special, 0) - special.begin()));
    return ids;
}

nlohmann::json json_of(std::string const& file) {
    if (!std::filesystem::exists(file)) return nullptr;
    return nlohmann::json::parse(cluster::read_file(file), nullptr, false);
}

} // namespace

Tokenizer::Tokenizer(std::string const& folder, std::int64_t max_length)
    : state_(std::make_unique<State>(State{folder, {}})) {
    std::string const file = folder + "/tokenizer.json";
    std::error_code none;
    if (!std::filesystem::exists(file, none))
        throw cluster::InputError(file + ": missing; legal: a folder with the tokenizer.json of a fast tokenizer");
    cluster::readable_size(file);
    try {
        state_->tokenizer = py::module_::import("tokenizers").attr("Tokenizer").attr("from_file")(file);
        state_->tokenizer.attr("no_padding")();
        state_->tokenizer.attr("no_truncation")();
        state_->leading = leading_specials(state_->tokenizer);
        if (max_length > 0) state_->tokenizer.attr("enable_truncation")(max_length);
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(fmt::format("{}: not a tokenizer: {}; legal: the tokenizer.json of a fast tokenizer",
                                              file, std::string(py::str(error.value()))));
    }
}
Tokenizer::~Tokenizer() = default;

std::vector<Encoding> Tokenizer::encode(std::vector<std::string> const& texts,
                                        std::vector<std::string> const& pairs) const {
    py::list input;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (pairs.empty())
            input.append(texts[i]);
        else
            input.append(py::make_tuple(texts[i], pairs[i]));
    }
    std::vector<Encoding> out;
    for (py::handle const e : state_->tokenizer.attr("encode_batch")(input))
        out.push_back({e.attr("ids").cast<std::vector<std::int32_t>>(),
                       e.attr("type_ids").cast<std::vector<std::int32_t>>(), py::len(e.attr("overflowing")) > 0});
    return out;
}

std::vector<Tokenizer::Plain> Tokenizer::encode_plain(std::vector<std::string> const& texts) const {
    std::vector<Plain> out;
    for (py::handle const e : state_->tokenizer.attr("encode_batch")(texts, py::arg("add_special_tokens") = false))
        out.push_back({e.attr("ids").cast<std::vector<std::int32_t>>(),
                       e.attr("offsets").cast<std::vector<std::pair<std::size_t, std::size_t>>>()});
    return out;
}

std::vector<std::vector<std::int32_t>> Tokenizer::encode_prompts(std::vector<std::string> const& prompts) const {
    std::vector<std::vector<std::int32_t>> out;
    for (auto const& plain : encode_plain(prompts)) {
        out.push_back(state_->leading);
        out.back().insert(out.back().end(), plain.tokens.begin(), plain.tokens.end());
    }
    return out;
}

std::vector<PromptedText> Tokenizer::encode_prompted(std::vector<std::string> const& prompts,
                                                     std::vector<std::string> const& completions) const {
    std::vector<std::string> joined;
    for (std::size_t i = 0; i < prompts.size(); ++i) joined.push_back(prompts[i] + completions[i]);
    auto const parts = encode_plain(prompts), whole = encode_plain(joined), alone = encode_plain(completions);
    std::vector<PromptedText> out;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        PromptedText& text = out.emplace_back(PromptedText{state_->leading, alone[i].tokens, true});
        auto const& prompt = parts[i].tokens;
        text.prompt.insert(text.prompt.end(), prompt.begin(), prompt.end());
        // Unknown words are one token, whatever they say: the places must agree as well.
        auto const [rest, end] = std::ranges::mismatch(whole[i].tokens, prompt);
        if (end != prompt.end()) continue;
        if (!prompt.empty() && whole[i].places[prompt.size() - 1] != parts[i].places.back()) continue;
        text.completion.assign(rest, whole[i].tokens.end());
        text.apart = false;
    }
    return out;
}

std::vector<std::string> Tokenizer::decode(std::vector<std::vector<std::int32_t>> const& tokens) const {
    return state_->tokenizer.attr("decode_batch")(tokens).cast<std::vector<std::string>>();
}

std::int64_t Tokenizer::vocabulary() const {
    // Ids may have gaps: what matters is the table that holds them all.
    std::int64_t size = 0;
    for (auto const [token, id] : py::dict(state_->tokenizer.attr("get_vocab")(true)))
        size = std::max(size, id.cast<std::int64_t>() + 1);
    return size;
}

std::string Tokenizer::token(std::int32_t id) const {
    py::object const token = state_->tokenizer.attr("id_to_token")(id);
    return token.is_none() ? fmt::format("<{}>", id) : token.cast<std::string>();
}

std::optional<std::int32_t> Tokenizer::id(std::string const& token) const {
    py::object const id = state_->tokenizer.attr("token_to_id")(token);
    return id.is_none() ? std::nullopt : std::optional(id.cast<std::int32_t>());
}

std::int32_t Tokenizer::end_of_text() const {
    for (auto const* name : {"/tokenizer_config.json", "/special_tokens_map.json"}) {
        auto const json = json_of(state_->folder + name);
        if (!json.is_object() || !json.contains("eos_token")) continue;
        auto const& token = json["eos_token"];
        std::string const text = token.is_string()   ? token.get<std::string>()
                                 : token.is_object() ? token.value("content", "")
                                                     : "";
        if (auto const found = id(text)) return *found;
    }
    for (auto const* name : {"/generation_config.json", "/config.json"}) {
        auto const json = json_of(state_->folder + name);
        if (!json.is_object() || !json.contains("eos_token_id")) continue;
        auto const& end = json["eos_token_id"];
        auto const& first = end.is_array() && !end.empty() ? end[0] : end;
        if (first.is_number_integer() && first.get<std::int64_t>() < vocabulary()) return first.get<std::int32_t>();
    }
    return -1;
}

std::string lower(std::string const& text) {
    return py::str(text).attr("lower")().cast<std::string>();
}

} // namespace trireme::launch::text
