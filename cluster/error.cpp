#include "cluster/error.hpp"
#include "cluster/utf8.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace trireme::cluster {

namespace {

/// bytes; a value that somebody gave may be a whole file
constexpr std::size_t kLongestLine = 2000;

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// Bytes of the character of UTF-8 that begins at `text`; 0 if none does.
std::size_t character_size(std::string_view text) {
    auto const first = static_cast<unsigned char>(text[0]);
    std::size_t const size = first < 0x80                    ? 1
                             : first >= 0xc2 && first < 0xe0 ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
    if (size > text.size()) return 0;
    bool const whole = std::ranges::all_of(text.substr(1, size ? size - 1 : 0), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
    });
    return whole ? size : 0;
}

/// The last place at or before `at` where a character of UTF-8 begins.
std::size_t character_start(std::string_view text, std::size_t at) {
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
    return at;
}

/// Takes the first character off `text` and returns it, escaped unless it can be printed.
std::string take_printable(std::string_view& text) {
    constexpr char const* kDigits = "0123456789abcdef";
    auto const byte = static_cast<unsigned char>(text[0]);
    std::size_t const size = character_size(text);
    bool const plain = size > 0 && !is_control(text[0]);
    std::string const taken(text.substr(0, size));
    text.remove_prefix(std::max<std::size_t>(1, size));
    if (byte == '\n') return "\\n";
    return plain ? taken : std::string("\\x").append({kDigits[byte >> 4], kDigits[byte & 15]});
}

} // namespace

std::string one_line(std::string_view message) {
    if (message.size() > kLongestLine) {
        std::size_t const half = kLongestLine / 2;
        return one_line(message.substr(0, character_start(message, half))) + " ... " +
               one_line(message.substr(character_start(message, message.size() - half)));
    }
    std::string line;
    while (!message.empty()) line += take_printable(message);
    return line;
}

bool is_utf8(std::string_view text) {
    for (std::size_t size = 0; !text.empty(); text.remove_prefix(size))
        if (size = character_size(text); size == 0) return false;
    return true;
}

std::string line_of(std::exception const& error) {
    if (auto const* refused = dynamic_cast<std::filesystem::filesystem_error const*>(&error))
        return one_line(refused->path1().string() + ": " + reason_of(refused->code().value()));
    std::string_view const message = error.what();
    bool const ours =
        dynamic_cast<InputError const*>(&error) || dynamic_cast<JobError const*>(&error);
    return one_line(ours ? message : message.substr(0, message.find('\n')));
}

std::string reason_of(int error) {
    std::string const text = std::strerror(error);
    if (error == ENOSPC)
        return text + " (the disk is full: see `df -h` and `df -i`; remove files there, or write "
                      "to another disk)";
    if (error == EDQUOT)
        return text + " (the quota of this user or group is used up, whatever room the disk has: "
                      "see `quota -s`, on "
                      "Lustre `lfs quota`; remove files there, or write to another file system)";
    return text;
}

} // namespace trireme::cluster
