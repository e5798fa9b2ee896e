#include "data/json.hpp"

namespace trireme::data {

void refuse_json(std::string const& path, std::string_view text, std::int64_t first_line,
                 nlohmann::json::exception const& error) {
    std::string why = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the place is ours to say.
    for (char const* end : {"] ", "column "})
        if (auto const at = why.find(end); at != std::string::npos) why.erase(0, at + std::string_view(end).size());
    std::string place;
    if (auto const* parse = dynamic_cast<nlohmann::json::parse_error const*>(&error)) {
        if (auto const colon = why.find(": "); colon != std::string::npos) why.erase(0, colon + 2);
        std::string_view const before = text.substr(0, parse->byte ? parse->byte - 1 : 0);
        auto const line = std::max<std::int64_t>(1, first_line) + std::ranges::count(before, '\n');
        auto const column = before.size() - (before.rfind('\n') + 1) + 1;
        place = fmt::format(":{}:{}", line, column);
    } else if (first_line) { // a number beyond all doubles has no place of its own
        place = fmt::format(":{}", first_line);
    }
    throw cluster::InputError(fmt::format("{}{}: not JSON: {}", path, place, why));
}

} // namespace trireme::data
