#include "launch/text/unlabelled.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "launch/text/lengths.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

using Json = nlohmann::json;

Json Unlabelled::set_length(Json const& request) {
    auto length = request.at("length").get<std::int64_t>();
    std::int64_t const positions = positions_in_config(folder_);
    if (length < 0 || length == 1 || (positions > 1 && length > positions))
        throw cluster::InputError(fmt::format(
            "--max-length: {}: legal: 2 or more{}; 0: the usual length", length,
            positions > 1
                ? fmt::format(", at most {}, the positions of {}/config.json", positions, folder_)
                : ""));
    if (length == 0) length = usual_length(folder_);
    tokenizer_ = std::make_unique<Tokenizer>(folder_, length, cuts_in_front(folder_));
    return {{"length", length}};
}

Json Unlabelled::open(Json const& request) {
    file_ = request.at("open").get<std::string>();
    Columns columns{.text = request.at("text").get<std::string>(),
                    .pair = request.at("pair").get<std::string>()};
    paired_ = !columns.pair.empty();
    if (paired_) check_pair(folder_, columns.pair, *tokenizer_);
    read_rows(file_, columns, [&](Row&& row) { rows_.push_back(std::move(row)); });
    return {{"rows", rows_.size()}};
}

Json Unlabelled::next(std::int64_t most) {
    std::vector<std::string> texts, pairs;
    Json sources = Json::array();
    for (; given_ < rows_.size() && std::ssize(texts) < most; ++given_) {
        Row& row = rows_[given_];
        sources.push_back(fmt::format("{}:{}", file_, row.line));
        texts.push_back(std::move(row.text));
        if (paired_) pairs.push_back(std::move(row.pair));
    }
    Json answer = encoded(texts, pairs);
    answer["sources"] = sources;
    return answer;
}

Json Unlabelled::encode(std::vector<std::string> const& texts) {
    return encoded(texts, {});
}

/// Texts of blanks alone get no tokens, since there is nothing to predict from.
Json Unlabelled::encoded(std::vector<std::string> const& texts,
                         std::vector<std::string> const& pairs) {
    Json answer{{"texts", texts},
                {"pairs", pairs},
                {"tokens", Json::array()},
                {"segments", Json::array()},
                {"cut", Json::array()}};
    if (texts.empty()) return answer;
    if (!tokenizer_) set_length({{"length", 0}}); // nobody has asked for another
    auto const encodings = tokenizer_->encode(texts, pairs);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        bool const blank = is_blank(texts[i]) || (!pairs.empty() && is_blank(pairs[i]));
        answer["tokens"].push_back(blank ? std::vector<std::int32_t>{} : encodings[i].tokens);
        answer["segments"].push_back(blank ? std::vector<std::int32_t>{} : encodings[i].segments);
        answer["cut"].push_back(encodings[i].cut);
    }
    return answer;
}

} // namespace trireme::launch::text
