#include "launch/text/tasks/texts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/file.hpp"
#include "data/json.hpp"
#include "launch/text/painting.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

std::vector<Encoding> encode_texts(std::vector<Waiting> const& rows, PrepareOptions const& o,
                                   Tokenizer const& tokenizer) {
    return encode_rows(rows, [&](std::vector<Waiting> const& some) {
        std::vector<std::string> texts, pairs;
        for (auto const& [row, split] : some) {
            texts.push_back(row.text);
            if (!o.columns.pair.empty()) pairs.push_back(row.pair);
        }
        return tokenizer.encode(texts, pairs);
    });
}

void declare_texts(TaskOptions& options) {
    options.word("text", "NAME", "name of the text column (default: text)");
    options.word("pair", "NAME", "name of the column with the second text, if there is one");
}

Columns columns_of_texts(PrepareOptions const& o) {
    return {.text = o.given("text") ? o.value("text") : "text", .pair = o.value("pair")};
}

void declare_stop(TaskOptions& options) {
    options.word("stop", "TOKEN",
                 "token that ends a completion or a text; default: the tokenizer's end of text");
}

std::int32_t end_token(PrepareOptions const& o, Tokenizer const& tokenizer) {
    std::string const stop = o.value("stop");
    if (stop.empty()) return end_of_text(o.tokenizer, tokenizer);
    if (auto const id = tokenizer.id(stop)) return *id;
    throw cluster::InputError(
        fmt::format("--stop: {}: legal: a token of {}/tokenizer.json", stop, o.tokenizer));
}

void write_stop_token(PrepareOptions const& o, std::int32_t stop) {
    write_stop_tokens(o, {stop});
}

void write_stop_tokens(PrepareOptions const& o, std::vector<std::int32_t> const& given) {
    std::string const file = o.tokenizer + "/generation_config.json";
    auto json = nlohmann::ordered_json::object();
    if (cluster::is_there(file))
        json = data::parse_json<nlohmann::ordered_json>(file, cluster::read_file(file));
    if (!json.is_object())
        throw cluster::InputError(
            file + ": not a JSON object; legal: what transformers' save_pretrained writes");
    auto& stops = json["eos_token_id"];
    bool const listed =
        stops.is_array() && std::ranges::all_of(given, [&](auto stop) {
            return std::ranges::find(stops, nlohmann::ordered_json(stop)) != stops.end();
        });
    if (!listed)
        stops = given.size() == 1 ? nlohmann::ordered_json(given.front())
                                  : nlohmann::ordered_json(given);
    else // `generate` scores references with the first
        std::stable_partition(stops.begin(), stops.end(),
                              [&](auto const& stop) { return stop == given.front(); });
    json.erase("_from_model_config"); // with it transformers may ask config.json instead
    cluster::write_file(o.output + "/generation_config.json", json.dump(2) + "\n");
}

std::string marked_tokens(Tokenizer const& tokenizer, std::vector<std::int32_t> const& tokens,
                          std::vector<std::int32_t> const& labels, bool color, std::size_t most) {
    bool const none = std::ranges::all_of(labels, [](auto label) { return label < 0; });
    std::string out = none ? "(nothing of it is trained) " : "";
    bool was_trained = false;
    std::size_t place = 0;
    for (std::size_t t = 0; t <= tokens.size(); ++t) {
        bool const trained = t > 0 && labels[t - 1] >= 0;
        if (t == tokens.size() && !trained) break;
        if (t == most) return out + " ...";
        if (trained != was_trained) {
            out += trained ? " => " : " .. ";
            place = 0;
        }
        was_trained = trained;
        auto const paint = trained ? painted : dimmed;
        out += paint(shown_token(tokenizer, trained ? labels[t - 1] : tokens[t]), place++, color);
    }
    return none ? out + " => " : out;
}

std::string trained_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set) {
    return fmt::format("{} of {} tokens trained", set.trained(micro_batch.sample_ids[0]),
                       micro_batch.token_count());
}

} // namespace trireme::launch::text
