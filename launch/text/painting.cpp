#include "launch/text/painting.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/utf8.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::array kBackgrounds{fmt::color::light_steel_blue, fmt::color::navajo_white,
                                  fmt::color::pale_green, fmt::color::thistle};

/// Characters by which byte-level tokenizers write bytes: printable ones stand for themselves, the
/// n-th other byte is U+0100 + n (`bytes_to_unicode` of GPT-2).
std::map<std::string, char> const& byte_of_character() {
    static auto const made = [] {
        std::map<std::string, char> table;
        unsigned others = 0;
        for (unsigned byte = 0; byte < 256; ++byte) {
            bool const printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
            unsigned const written = printable ? byte : 256 + others++;
            std::string const two{static_cast<char>(0xC0U | (written >> 6)),
                                  static_cast<char>(0x80U | (written & 63U))};
            table[written < 128 ? std::string(1, static_cast<char>(written)) : two] =
                static_cast<char>(byte);
        }
        return table;
    }();
    return made;
}

/// Bytes that a token of a byte-level tokenizer stands for; none if it is not written so.
std::optional<std::string> bytes_of_token(std::string const& token) {
    std::string bytes;
    for (std::size_t i = 0; i < token.size();) {
        std::size_t const size = static_cast<unsigned char>(token[i]) < 128 ? 1 : 2;
        auto const found = byte_of_character().find(token.substr(i, size));
        if (found == byte_of_character().end()) return std::nullopt;
        bytes += found->second;
        i += size;
    }
    return bytes;
}

std::string with_spaces(std::string token) {
    constexpr std::string_view kSpace = "\u2581"; // of pieces
    for (std::size_t at = 0; (at = token.find(kSpace, at)) != std::string::npos; ++at)
        token.replace(at, kSpace.size(), " ");
    return token;
}

/// Text of a token. The tokenizer tells what its tokens mean: it decodes those of bytes to them.
std::string text_of_token(Tokenizer const& tokenizer, std::int32_t id) {
    std::string const token = tokenizer.token(id),
                      decoded = id < 0 ? "" : tokenizer.decode({{id}})[0];
    auto const bytes = bytes_of_token(token);
    bool const cut = bytes && !cluster::is_utf8(*bytes); // a part of a character
    if (bytes && (*bytes == decoded || (cut && decoded.find("\uFFFD") != std::string::npos)))
        return *bytes;
    return with_spaces(token);
}

} // namespace

std::string painted(std::string const& token, std::size_t place, bool color) {
    if (!color) return (place ? "|" : "") + token;
    return fmt::format(fmt::bg(kBackgrounds[place % kBackgrounds.size()]) |
                           fmt::fg(fmt::color::black),
                       "{}", token);
}

std::string dimmed(std::string const& token, std::size_t place, bool color) {
    if (!color) return (place ? "|" : "") + token;
    return fmt::format(place % 2 ? fmt::emphasis::faint | fmt::emphasis::underline
                                 : fmt::emphasis::faint,
                       "{}", token);
}

std::string tinted(std::string const& token, std::size_t place, std::string const& kind,
                   bool color) {
    std::size_t sum = 0; // the same colour in every run
    for (unsigned char const c : kind) sum += c;
    return color ? painted(token, sum, true) : painted(token, place, false);
}

std::string shown_token(Tokenizer const& tokenizer, std::int32_t id) {
    return cluster::one_line(text_of_token(tokenizer, id));
}

} // namespace trireme::launch::text
