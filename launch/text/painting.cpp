#include "launch/text/painting.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <array>

#include "cluster/error.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::array kBackgrounds{fmt::color::light_steel_blue, fmt::color::navajo_white,
                                  fmt::color::pale_green, fmt::color::thistle};

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
    return cluster::one_line(tokenizer.token(id));
}

} // namespace trireme::launch::text
