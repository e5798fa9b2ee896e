#include "launch/text/tasks/texts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/file.hpp"
#include "data/json.hpp"
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
    std::string const file = o.tokenizer + "/generation_config.json";
    auto json = nlohmann::ordered_json::object();
    if (cluster::is_there(file))
        json = data::parse_json<nlohmann::ordered_json>(file, cluster::read_file(file));
    if (!json.is_object())
        throw cluster::InputError(
            file + ": not a JSON object; legal: what transformers' save_pretrained writes");
    auto& stops = json["eos_token_id"];
    auto const found =
        stops.is_array() ? std::ranges::find(stops, nlohmann::ordered_json(stop)) : stops.end();
    if (found == stops.end())
        stops = stop;
    else // `generate` scores references with the first
        std::rotate(stops.begin(), found, std::next(found));
    json.erase("_from_model_config"); // with it transformers may ask config.json instead
    cluster::write_file(o.output + "/generation_config.json", json.dump(2) + "\n");
}

std::string trained_tokens(data::MicroBatch const& micro_batch, data::Dataset const& set) {
    return fmt::format("{} of {} tokens trained", set.trained(micro_batch.sample_ids[0]),
                       micro_batch.token_count());
}

} // namespace trireme::launch::text
