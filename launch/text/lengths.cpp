#include "launch/text/lengths.hpp"

#include <algorithm>

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

std::int64_t positions_in_config(std::string const& folder) {
    // GPT-2 has a name of its own.
    return std::max(size_in_config(folder, "max_position_embeddings"),
                    size_in_config(folder, "n_positions"));
}

std::int64_t usual_length(std::string const& folder) {
    std::int64_t length = 512;
    for (auto const most : {positions_in_config(folder), length_of_tokenizer(folder)})
        if (most > 1) length = std::min(length, most);
    return length;
}

} // namespace trireme::launch::text
