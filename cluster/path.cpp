#include "cluster/path.hpp"

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

} // namespace

std::string expand_path(std::string const& field, std::string const& path) {
    auto const refuse = [&](std::string const& why) {
        throw InputError(field + ": " + path + ": " + why);
    };
    auto const value_of = [&](std::string const& name) -> std::string {
        char const* const value = std::getenv(name.c_str());
        if (!value || !*value)
            refuse("$" + name + " is not set; legal: a path, or a variable that is set");
        return value;
    };
    std::string out;
    std::size_t at = 0;
    if (path.starts_with('~')) {
        if (path.size() > 1 && path[1] != '/')
            refuse("another user's home; legal: a path, ~ for your own home folder, or ./~... for "
                   "a name with ~");
        out = value_of("HOME");
        at = 1;
    }
    while (at < path.size()) {
        if (path[at] != '$') {
            out += path[at++];
            continue;
        }
        bool const braced = at + 1 < path.size() && path[at + 1] == '{';
        std::size_t const first = at + (braced ? 2 : 1);
        std::size_t end = first;
        while (end < path.size() && is_name(path[end])) ++end;
        if (end == first || (braced && (end == path.size() || path[end] != '}')))
            refuse("a $ that begins no variable; legal: $NAME or ${NAME}");
        out += value_of(path.substr(first, end - first));
        at = end + (braced ? 1 : 0);
    }
    return out;
}

std::string current_folder_of(std::string const& path) {
    std::error_code none;
    std::string const here = std::filesystem::current_path(none).string();
    return path.starts_with('/') || here.empty() ? "" : " in " + here;
}

} // namespace trireme::cluster
