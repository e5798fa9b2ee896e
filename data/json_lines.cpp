#include "data/json_lines.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"

namespace trireme::data {

void refuse_document(std::string const& path, std::string_view line, std::int64_t number) {
    auto const first = line.find_first_not_of(" \t\r\xef\xbb\xbf"), // a mark of UTF-8 too
        last = line.find_last_not_of(" \t\r");
    if (first == std::string_view::npos ||
        (line[first] != '[' && line.substr(first, last + 1 - first) != "{"))
        return;
    throw cluster::InputError(
        fmt::format("{}:{}: a JSON document that holds all rows; legal: JSON Lines, one object per "
                    "line, as jq -c '.[]' makes them of a list",
                    path, number));
}

} // namespace trireme::data
