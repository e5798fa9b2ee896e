#include "launch/text/added_tokens.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/utf8.hpp"
#include "data/json.hpp"

namespace trireme::launch::text {

namespace {

using OrderedJson = nlohmann::ordered_json;

/// A special token as tokenizer.json and tokenizer_config.json describe it: no blank beside it
/// belongs to it, and it is found before the text is normalized.
OrderedJson described(std::string const& token) {
    return {{"content", token}, {"single_word", false}, {"lstrip", false},
            {"rstrip", false},  {"normalized", false},  {"special", true}};
}

OrderedJson opened(std::string const& file, std::string const& text) {
    auto json = data::parse_json<OrderedJson>(file, text);
    if (!json.is_object())
        throw cluster::InputError(
            file + ": not a JSON object; legal: what transformers' save_pretrained writes");
    return json;
}

/// Members of tokenizer_config.json that list added tokens; those that are not there stay away.
void add_to_config(OrderedJson& json, std::vector<std::string> const& added, std::int64_t first) {
    for (auto const& token : added) {
        auto const id = std::to_string(first + (&token - added.data()));
        if (auto const table = json.find("added_tokens_decoder");
            table != json.end() && table->is_object())
            (*table)[id] = described(token);
        for (auto const* name : {"additional_special_tokens", "extra_special_tokens"})
            if (auto const list = json.find(name); list != json.end() && list->is_array())
                list->push_back(token);
    }
}

void rewrite(std::string const& file, auto const& change) {
    if (!cluster::is_there(file)) return;
    auto json = opened(file, cluster::read_file(file));
    change(json);
    cluster::write_file(file, json.dump(2) + "\n");
}

} // namespace

std::string with_added_tokens(std::string const& file, std::string const& text,
                              std::vector<std::string> const& added, std::int64_t first) {
    auto json = opened(file, text);
    auto& list = json["added_tokens"];
    if (!list.is_array()) list = OrderedJson::array();
    for (auto const& token : added) {
        OrderedJson one{{"id", first + (&token - added.data())}};
        one.update(described(token));
        list.push_back(std::move(one));
    }
    return json.dump(2) + "\n";
}

void write_added_tokens(std::string const& folder, std::vector<std::string> const& added,
                        std::int64_t first) {
    std::string const file = folder + "/tokenizer.json";
    cluster::write_file(file, with_added_tokens(file, cluster::read_file(file), added, first));
    for (auto const* name : {"/tokenizer_config.json", "/special_tokens_map.json"})
        rewrite(folder + name, [&](OrderedJson& json) { add_to_config(json, added, first); });
    rewrite(folder + "/added_tokens.json", [&](OrderedJson& json) {
        for (auto const& token : added) json[token] = first + (&token - added.data());
    });
}

void check_added_tokens(std::vector<std::string> const& added) {
    std::set<std::string> seen;
    for (auto const& token : added)
        if (token.empty() || !cluster::is_utf8(token) || !seen.insert(token).second)
            throw cluster::InputError(
                fmt::format("--add-tokens: \"{}\": legal: texts in UTF-8, each once",
                            cluster::one_line(token)));
}

std::string told_of_added_tokens(std::vector<std::string> const& added, std::int64_t first,
                                 std::int64_t room) {
    if (added.empty()) return "";
    std::string text = "  tokens added: ";
    for (auto const& token : added)
        text += fmt::format("{}\"{}\" ({})", &token == added.data() ? "" : ", ",
                            cluster::one_line(token), first + (&token - added.data()));
    std::int64_t const size = first + std::ssize(added);
    if (room == 0) return text + "; a model without rows for them gets such in training\n";
    if (size <= room)
        return text + fmt::format("; the model has rows for them: its vocab_size is {}\n", room);
    return text + fmt::format("; in training the model's vocab_size {} becomes {}\n", room, size);
}

} // namespace trireme::launch::text
