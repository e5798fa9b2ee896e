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

/// Puts the values of variables into one path. `field`: what the path is given for.
class Expansion {
  public:
    Expansion(std::string const& field, std::string const& path) : field_(field), path_(path) {}

    std::string whole() {
        if (path_.starts_with('~')) home();
        while (at_ < path_.size())
            if (path_[at_] == '$')
                variable();
            else
                out_ += path_[at_++];
        return out_;
    }

  private:
    [[noreturn]] void refuse(std::string const& why) const {
        throw InputError(field_ + ": " + path_ + ": " + why);
    }
    std::string value_of(std::string const& name) const {
        char const* const value = std::getenv(name.c_str());
        if (!value || !*value)
            refuse("$" + name + " is not set; legal: a path, or a variable that is set");
        return value;
    }
    void home() {
        if (path_.size() > 1 && path_[1] != '/')
            refuse("another user's home; legal: a path, ~ for your own home folder, or ./~... for "
                   "a name with ~");
        out_ = value_of("HOME");
        at_ = 1;
    }
    void variable() {
        bool const braced = at_ + 1 < path_.size() && path_[at_ + 1] == '{';
        std::size_t const first = at_ + (braced ? 2 : 1);
        std::size_t end = first;
        while (end < path_.size() && is_name(path_[end])) ++end;
        if (end == first || (braced && (end == path_.size() || path_[end] != '}')))
            refuse("a $ that begins no variable; legal: $NAME or ${NAME}");
        out_ += value_of(path_.substr(first, end - first));
        at_ = end + (braced ? 1 : 0);
    }

    std::string const &field_, &path_;
    std::string out_;
    std::size_t at_ = 0;
};

} // namespace

std::string expand_path(std::string const& field, std::string const& path) {
    return Expansion(field, path).whole();
}

std::string current_folder_of(std::string const& path) {
    std::error_code none;
    std::string const here = std::filesystem::current_path(none).string();
    return path.starts_with('/') || here.empty() ? "" : " in " + here;
}

} // namespace trireme::cluster
