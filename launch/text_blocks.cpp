#include "launch/text_blocks.hpp"

#include <fmt/format.h>

#include <iostream>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/utf8.hpp"

namespace trireme::launch {

namespace {

constexpr std::size_t kBlock = 1024; ///< texts read, computed and written together

void check_options(TextSource const& source) {
    if (!cluster::is_utf8(source.input))
        throw cluster::InputError(
            fmt::format("--input: {}: legal: a name in UTF-8", cluster::one_line(source.input)));
    for (auto const& [option, word] : source.options)
        if (word.empty())
            throw cluster::InputError(fmt::format(
                "--{}: legal: {}, not an empty one", option,
                option == "windows" || option == "stride" ? "a number" : "the name of a column"));
        else if (!cluster::is_utf8(word))
            throw cluster::InputError(
                fmt::format("--{}: {}: legal: a name in UTF-8", option, cluster::one_line(word)));
}

nlohmann::json given_in(TextSource const& source) {
    auto given = nlohmann::json::object();
    for (auto const& [option, word] : source.options) given[option] = {word};
    return given;
}

} // namespace

TextBlocks::TextBlocks(TextSource const& source, TextService& service)
    : service_(service), from_standard_input_(source.input == kStandardInput) {
    check_options(source);
    service_.hello();
    nlohmann::json const task = source.task();
    length_ =
        service_.ask({{"length", source.max_length}, {"task", task}, {"options", given_in(source)}})
            .at("length")
            .get<std::int64_t>();
    if (!from_standard_input_) service_.ask({{"open", source.input}});
}

nlohmann::json TextBlocks::next() {
    if (!from_standard_input_) return service_.ask({{"next", kBlock}});
    std::vector<std::string> texts, sources;
    for (std::string line; texts.size() < kBlock && std::getline(std::cin, line);) {
        std::string source = fmt::format("standard input:{}", ++line_);
        if (line.ends_with('\r')) line.pop_back();
        if (!cluster::is_utf8(line))
            throw cluster::InputError(source + ": not UTF-8; legal: a text in UTF-8 per line");
        texts.push_back(std::move(line));
        sources.push_back(std::move(source));
    }
    nlohmann::json block = service_.ask({{"encode", texts}});
    block["sources"] = sources;
    return block;
}

} // namespace trireme::launch
