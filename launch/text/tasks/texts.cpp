#include "launch/text/tasks/texts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "cluster/file.hpp"
#include "data/json.hpp"
#include "data/token_weights.hpp"
#include "launch/text/inputs.hpp"
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

std::string columns_there(PrepareOptions const& o) {
    std::vector<std::string> patterns;
    for (auto const& [split, files] : o.files)
        patterns.insert(patterns.end(), files.begin(), files.end());
    try {
        auto const files = expanded("--input", patterns).files;
        if (files.empty()) return "";
        auto const names = column_names(files.front());
        return names.empty()
                   ? ""
                   : fmt::format("; columns of {}: {}", files.front(), fmt::join(names, ", "));
    } catch (cluster::InputError const&) {
        return ""; // the message is about the option, and the next one will be about the file
    }
}

void declare_windows(TaskOptions& options) {
    options.word("windows", "STRIDE",
                 "a text that is longer than --max-length becomes several samples in place of one "
                 "that is cut, each with the last STRIDE tokens of the one before");
}

std::int64_t stride_of(PrepareOptions const& o, std::string const& option, std::int64_t room,
                       std::int64_t usual) {
    if (!o.given(option)) return usual;
    std::string const text = o.value(option);
    std::int64_t stride = -1;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), stride);
    if (error != std::errc{} || end != text.data() + text.size() || stride < 0 || stride >= room)
        throw cluster::InputError(fmt::format(
            "--{}: {}: legal: a whole number from 0 to {}, as --max-length {} leaves room for {} "
            "tokens of a text",
            option, text, std::max<std::int64_t>(0, room - 1), o.max_length,
            std::max<std::int64_t>(0, room)));
    return stride;
}

void check_windows(PrepareOptions const& o) {
    if (o.given("windows") && o.given("pair"))
        throw cluster::InputError("--windows, --pair: legal: one of them, as one text is divided");
}

std::vector<std::vector<Encoding>> encode_parts(std::vector<Waiting> const& rows,
                                                PrepareOptions const& o,
                                                Tokenizer const& tokenizer) {
    std::vector<std::vector<Encoding>> parts;
    if (!o.given("windows")) {
        for (auto& encoding : encode_texts(rows, o, tokenizer))
            parts.push_back({std::move(encoding)});
        return parts;
    }
    std::int64_t const room =
        o.max_length - std::ssize(tokenizer.leading()) - std::ssize(tokenizer.trailing());
    std::int64_t const stride = stride_of(o, "windows", room);
    auto texts = encode_rows(rows, [&](std::vector<Waiting> const& some) {
        std::vector<std::string> input;
        for (auto const& [row, split] : some) input.push_back(row.text);
        return tokenizer.encode_windows(input, {}, o.max_length, stride);
    });
    for (auto& text : texts) {
        auto& of = parts.emplace_back();
        for (auto& window : text.windows) // counts are of the text
            of.push_back({std::move(window.tokens), std::move(window.segments),
                          of.empty() && text.windows.size() > 1, of.empty() ? text.written : 0});
    }
    return parts;
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
    std::string const text =
        fmt::format("{} of {} tokens trained", set.trained(micro_batch.sample_ids[0]),
                    micro_batch.token_count());
    auto weights = micro_batch.columns.labels_of(data::kTokenWeights);
    std::erase_if(weights, [](auto weight) { return weight <= 0; });
    if (weights.empty()) return text;
    auto const [least, most] = std::ranges::minmax(weights);
    double const unit = data::kWeightUnit;
    return text + fmt::format(", of weights from {} to {}", least / unit, most / unit);
}

} // namespace trireme::launch::text
