#include "launch/text/lengths.hpp"

#include <algorithm>
#include <array>

#include "cluster/file.hpp"
#include "data/json.hpp"
#include "launch/text/tokenizer_config.hpp"

namespace trireme::launch::text {

std::int64_t size_in_config(std::string const& folder, char const* field) {
    std::string const path = folder + "/config.json";
    if (!cluster::is_there(path)) return 0;
    auto const json = data::parse_json(path, cluster::read_file(path));
    bool const known = json.is_object() && json.contains(field) &&
                       data::JsonKind<std::int64_t>::holds(json.at(field));
    return known ? json.at(field).get<std::int64_t>() : 0;
}

namespace {

/// Rows of the table of positions in front of the first one: RoBERTa counts from the row behind
/// that of its padding token, which is 1 where its configuration does not say another.
std::int64_t rows_in_front(std::string const& folder) {
    std::string const path = folder + "/config.json";
    if (!cluster::is_there(path)) return 0;
    auto const json = data::parse_json(path, cluster::read_file(path));
    bool const named = json.is_object() && json.contains("model_type");
    bool const counts_from_padding =
        named && std::ranges::any_of(std::array{"roberta", "xlm-roberta", "camembert"},
                                     [&](auto name) { return json.at("model_type") == name; });
    if (!counts_from_padding) return 0;
    std::int64_t const padding =
        json.contains("pad_token_id") ? size_in_config(folder, "pad_token_id") : 1;
    return 1 + std::clamp<std::int64_t>(padding, 0, INT32_MAX);
}

} // namespace

std::int64_t positions_in_config(std::string const& folder) {
    // GPT-2 has a name of its own.
    auto const rows = std::max(size_in_config(folder, "max_position_embeddings"),
                               size_in_config(folder, "n_positions"));
    return std::max<std::int64_t>(0, rows - rows_in_front(folder));
}

std::int64_t usual_length(std::string const& folder) {
    std::int64_t length = 512;
    for (auto const most : {positions_in_config(folder), length_of_tokenizer(folder)})
        if (most > 1) length = std::min(length, most);
    return length;
}

} // namespace trireme::launch::text
