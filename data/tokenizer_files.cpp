#include "data/tokenizer_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::data {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

/// By the names under which transformers' tokenizers save and look for them; the last is a folder.
constexpr std::array kFiles{"tokenizer.json",
                            "tokenizer_config.json",
                            "special_tokens_map.json",
                            "added_tokens.json",
                            "vocab.txt",
                            "vocab.json",
                            "merges.txt",
                            "tokenizer.model",
                            "spiece.model",
                            "sentencepiece.model",
                            "sentencepiece.bpe.model",
                            "chat_template.jinja",
                            "chat_template.json",
                            "generation_config.json",
                            "additional_chat_templates"};

Json read_json(std::string const& path) {
    return cluster::is_there(path) ? parse_json(path, cluster::read_file(path)) : Json::object();
}

/// The text of an entry of tokenizer.json, which the library that reads it judges; empty for what
/// is none.
std::string content_of(Json const& token) {
    Json const& content =
        token.is_object() && token.contains("content") ? token.at("content") : token;
    return content.is_string() ? content.get<std::string>() : "";
}

/// Refuses what cannot be copied; legal are files that can be read, and the folder
/// additional_chat_templates.
void check_copied(std::string const& path) {
    if (path.ends_with("templates") && fs::is_directory(path)) return;
    if (std::int64_t const size = cluster::readable_size(path); size > cluster::kMostText)
        throw cluster::InputError(
            fmt::format("{}: {} bytes: legal: at most {}", path, size, cluster::kMostText));
    cluster::refuse_lfs_pointer(path);
}

Json const& at_or_null(Json const& object, std::string const& name) {
    static Json const null;
    return object.is_object() && object.contains(name) ? object.at(name) : null;
}

/// Words and their ids are an object, or, of Unigram, a list in id order of pairs with a score.
std::int64_t id_in_vocabulary(Json const& vocabulary, std::string const& token) {
    if (vocabulary.is_object() && vocabulary.contains(token) &&
        JsonKind<std::int64_t>::holds(vocabulary.at(token)))
        return vocabulary.at(token).get<std::int64_t>();
    for (std::size_t i = 0; vocabulary.is_array() && i < vocabulary.size(); ++i)
        if (vocabulary[i].is_array() && !vocabulary[i].empty() &&
            content_of(vocabulary[i][0]) == token)
            return static_cast<std::int64_t>(i);
    return -1;
}

/// Names of what differs, at most two levels deep: "model.vocab, added_tokens".
std::string differing(Json const& a, Json const& b, std::string const& prefix = "") {
    std::string names;
    Json both = a;
    both.update(b);
    for (auto const& [name, value] : both.items()) {
        Json const &left = at_or_null(a, name), &right = at_or_null(b, name);
        if (left == right) continue;
        bool const deeper = prefix.empty() && left.is_object() && right.is_object();
        std::string const found = deeper ? differing(left, right, name + ".") : prefix + name;
        names += (names.empty() ? "" : ", ") + found;
    }
    return names;
}

Json tokenizer_of(std::string const& path) {
    Json json = parse_json(path, cluster::read_file(path));
    if (!json.is_object())
        throw cluster::InputError(
            path + ": not a JSON object; legal: the tokenizer.json of a fast tokenizer");
    for (auto const* name : {"padding", "truncation", "version"}) json.erase(name);
    return json;
}

/// Takes out what `prepare` added, whose numbers are behind all others.
Json without(Json tokenizer, std::vector<std::string> const& added) {
    auto const list = tokenizer.find("added_tokens");
    if (list == tokenizer.end() || !list->is_array()) return tokenizer;
    Json kept = Json::array();
    for (auto const& token : *list)
        if (std::ranges::find(added, content_of(token)) == added.end()) kept.push_back(token);
    *list = std::move(kept);
    return tokenizer;
}

} // namespace

std::string token_text(Json const& token, std::string const& where) {
    Json const& content =
        token.is_object() && token.contains("content") ? token.at("content") : token;
    if (token.is_null()) return "";
    if (!content.is_string())
        throw cluster::InputError(fmt::format(
            "{}: {}: legal: a token's text, or an object with it as content", where, shown(token)));
    return content.get<std::string>();
}

void copy_tokenizer_files(std::string const& from, std::string const& to) {
    for (auto const* name : kFiles) {
        std::error_code error;
        if (!fs::exists(from + "/" + name, error) || fs::exists(to + "/" + name, error)) continue;
        check_copied(from + "/" + name);
        fs::copy(from + "/" + name, to + "/" + name, fs::copy_options::recursive, error);
        if (error)
            throw cluster::JobError(fmt::format("{}/{}: cannot be copied to {}: {}", from, name, to,
                                                cluster::reason_of(error.value())));
    }
}

/// The special token that the settings call `role`; empty if none does.
static std::string special_token(std::string const& folder, std::string const& role) {
    std::string token;
    for (auto const* name : {"/tokenizer_config.json", "/special_tokens_map.json"})
        if (token.empty())
            token =
                token_text(at_or_null(read_json(folder + name), role), folder + name + ": " + role);
    return token;
}

/// The id of a token in tokenizer.json; -1 if it has none.
static std::int64_t id_of(Json const& tokenizer, std::string const& token) {
    if (token.empty()) return -1;
    for (auto const& added : at_or_null(tokenizer, "added_tokens"))
        if (content_of(added) == token && JsonKind<std::int64_t>::holds(at_or_null(added, "id")))
            return added.at("id").get<std::int64_t>();
    return id_in_vocabulary(at_or_null(at_or_null(tokenizer, "model"), "vocab"), token);
}

std::int64_t pad_token_of(std::string const& folder) {
    std::string token = special_token(folder, "pad_token");
    Json const tokenizer = read_json(folder + "/tokenizer.json");
    if (token.empty())
        token = content_of(at_or_null(at_or_null(tokenizer, "padding"), "pad_token"));
    return id_of(tokenizer, token);
}

std::int64_t mask_token_of(std::string const& folder) {
    return id_of(read_json(folder + "/tokenizer.json"), special_token(folder, "mask_token"));
}

std::string tokenizer_difference(std::string const& one, std::string const& other) {
    std::string const ours = one + "/tokenizer.json", theirs = other + "/tokenizer.json";
    if (!cluster::is_there(ours) || !cluster::is_there(theirs)) return "";
    return differing(tokenizer_of(ours), tokenizer_of(theirs));
}

void check_same_tokenizer(std::string const& data, std::string const& recorded,
                          std::string const& model, std::vector<std::string> const& added) {
    std::string const theirs = model + "/tokenizer.json", ours = data + "/tokenizer.json";
    if (recorded.empty() || !cluster::is_there(theirs) ||
        cluster::xxh3_of_file(theirs, cluster::kMostText) == recorded)
        return;
    std::string what;
    if (cluster::is_there(ours) && cluster::xxh3_of_file(ours, cluster::kMostText) == recorded) {
        what = differing(without(tokenizer_of(ours), added), tokenizer_of(theirs));
        if (what.empty()) return;
        what = " (they differ in " + what + ")";
    }
    throw cluster::InputError(fmt::format("{}: prepared with another tokenizer than {}{}; legal: "
                                          "data that `trireme prepare --tokenizer {}` wrote",
                                          data, theirs, what, model));
}

} // namespace trireme::data
