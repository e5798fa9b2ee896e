#include "launch/text/inspect.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "data/loader.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

namespace {

constexpr std::array kBackgrounds{fmt::color::light_steel_blue, fmt::color::navajo_white,
                                  fmt::color::pale_green, fmt::color::thistle};

/// Tokens without colour are set off by a bar, so that a log shows their edges too.
std::string painted(std::string const& token, std::size_t place, bool color) {
    if (!color) return (place ? "|" : "") + token;
    return fmt::format(fmt::bg(kBackgrounds[place % kBackgrounds.size()]) |
                           fmt::fg(fmt::color::black),
                       "{}", token);
}

/// Keeps tokens that are read and not trained in the background.
std::string dimmed(std::string const& token, std::size_t place, bool color) {
    if (!color) return (place ? "|" : "") + token;
    return fmt::format(place % 2 ? fmt::emphasis::faint | fmt::emphasis::underline
                                 : fmt::emphasis::faint,
                       "{}", token);
}

/// Spells a token for a terminal: control characters spelled out, so that no data set can write to
/// a terminal.
std::string shown_token(Tokenizer const& tokenizer, std::int32_t id) {
    return cluster::one_line(tokenizer.token(id));
}

/// Prompt => completion with its stop token.
std::string prompted(data::Slot const& slot, Tokenizer const& tokenizer, bool color) {
    std::string out;
    std::size_t const prompt =
        static_cast<std::size_t>(
            std::ranges::find_if(slot.token_labels, [](auto l) { return l >= 0; }) -
            slot.token_labels.begin()) +
        1;
    if (prompt > slot.tokens.size()) out += "(nothing of it is trained) ";
    for (std::size_t t = 0; t < std::min(prompt, slot.tokens.size()); ++t)
        out += dimmed(shown_token(tokenizer, slot.tokens[t]), t, color);
    out += " => ";
    for (std::size_t t = prompt; t <= slot.tokens.size(); ++t)
        out += painted(shown_token(tokenizer, slot.token_labels[t - 1]), t - prompt, color);
    return out;
}

std::string label_of(data::Slot const& slot, data::Dataset const& set) {
    if (slot.sample_labels.empty())
        return fmt::format("{} of {} tokens trained", set.trained(slot.sample_ids[0]),
                           slot.token_count());
    return "label " +
           cluster::one_line(set.label_names().at(static_cast<std::size_t>(slot.sample_labels[0])));
}

/// A manifest may name another task than the one that its shards were made for.
void check_columns(data::Slot const& slot, data::Dataset const& set, InspectOptions const& o,
                   std::int64_t sample) {
    bool const classes = set.task() == "classification";
    bool const right =
        classes ? slot.sample_labels.size() == 1 : slot.token_labels.size() == slot.tokens.size();
    if (!right)
        throw cluster::InputError(fmt::format(
            "{}: {} {} has no {}: legal: shards of the task {}, which the manifest names", o.data,
            o.split, sample, classes ? "label" : "labels of its tokens", set.task()));
}

} // namespace

std::string inspect(InspectOptions const& o) {
    auto const set = data::open_dataset(o.data, o.split);
    if (o.first < 0 || o.first >= set->size())
        throw cluster::InputError(fmt::format("--first: {}: legal: 0 to {}, the samples of {} {}",
                                              o.first, set->size() - 1, o.data, o.split));
    std::int64_t const end = o.first + std::min(o.samples, set->size() - o.first);
    set->verify_samples(o.first, end);
    Tokenizer const tokenizer(o.data, 0);
    std::string out;
    for (std::int64_t i = o.first; i < end; ++i) {
        data::Slot const slot = set->read({i}, 1);
        check_columns(slot, *set, o, i);
        out += fmt::format("{} {}  {}  {}\n  ", o.split, i,
                           cluster::counted(slot.token_count(), "token"), label_of(slot, *set));
        if (set->task() == "generation") {
            out += prompted(slot, tokenizer, o.color) + "\n";
            continue;
        }
        for (std::size_t t = 0; t < slot.tokens.size(); ++t) {
            bool const second = slot.segments[t] != 0 && (t == 0 || slot.segments[t - 1] == 0);
            out += (second ? " // " : "") +
                   painted(shown_token(tokenizer, slot.tokens[t]), t, o.color);
        }
        out += "\n";
    }
    return out;
}

} // namespace trireme::launch::text
