#include "data/json.hpp"

namespace trireme::data {

namespace {

/// The beginning of a token that may fill a file.
std::string beginning(std::string const& token) {
    constexpr std::size_t kMost = 60;
    return token.size() > kMost ? token.substr(0, kMost) + "..." : token;
}

} // namespace

void JsonPlace::refuse(std::string const& what) const {
    throw cluster::InputError(first_line ? fmt::format("{}:{}: {}", path, first_line, what)
                                         : fmt::format("{}: {}", path, what));
}

std::string JsonPlace::at(std::size_t byte) const {
    std::string_view const before = text.substr(0, byte);
    auto const line = std::max<std::int64_t>(1, first_line) + std::ranges::count(before, '\n');
    auto const column = before.size() - (before.rfind('\n') + 1) + 1;
    return fmt::format("{}:{}:{}", path, line, column);
}

void JsonPlace::refuse_syntax(std::size_t end, std::string const& token,
                              nlohmann::json::exception const& error) const {
    std::string why = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the
    // place is ours to say.
    for (char const* before : {"] ", "column "})
        if (auto const at = why.find(before); at != std::string::npos)
            why.erase(0, at + std::string_view(before).size());
    if (!dynamic_cast<nlohmann::json::parse_error const*>(&error)) // the number of `token`
        throw cluster::InputError(
            fmt::format("{}: {}: legal: a number that a double of 64 bits holds",
                        at(end - std::min(end, token.size())), beginning(token)));
    if (auto const colon = why.find(": "); colon != std::string::npos) why.erase(0, colon + 2);
    throw JsonSyntaxError(fmt::format("{}: not JSON: {}", at(end ? end - 1 : 0), why));
}

void JsonPlace::check_large_number(double value, std::string const& digits) const {
    if (first_line || fmt::format("{:.0f}", value) == digits) return;
    throw cluster::InputError(
        fmt::format("{}: {}: would be rounded; legal: a whole number of at most 64 bits",
                    at(std::min(text.find(digits), text.size())), beginning(digits)));
}

} // namespace trireme::data
