#include "launch/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"
#include "cluster/path.hpp"
#include "cluster/process.hpp"
#include "framework/config/foreign_keys.hpp"
#include "launch/launcher.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

char const* const kExitStatus =
    "Exit status:\n"
    "  0   done\n"
    "  1   failed\n"
    "  2   bad input: the message says where, and what is legal\n"
    "  3   training must not go on by itself: a file STOP, a spent budget, no progress\n"
    "  85  training was asked to stop: saved, the same command continues it\n";

namespace {

constexpr std::size_t kColumn = 28, kLineWidth = 100;

/// `text` in lines of at most kLineWidth, all but the first indented: the first begins in that
/// column.
std::string wrapped(std::string const& text, std::size_t indent) {
    std::istringstream words(text);
    std::string out, word;
    std::size_t column = indent;
    while (words >> word) {
        if (!out.empty() && column + 1 + word.size() > kLineWidth) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (!out.empty()) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
    }
    return out;
}

/// Writes the name of an argument without option, as help has it: CONFIG.
std::string in_capitals(std::string name) {
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name;
}

std::string option_line(po::option_description const& option, char const* positional) {
    std::string parameter = option.format_parameter(), otherwise; // "FOLDER (=runs)"
    if (auto const at = parameter.find(" (="); at != std::string::npos) {
        otherwise = parameter.substr(at + 3, parameter.size() - at - 4);
        parameter.resize(at);
    }
    std::string name = option.long_name();
    if (positional && name == positional)
        name = in_capitals(name);
    else
        name =
            (name == "help" ? "-h, --" : "--") + name + (parameter.empty() ? "" : " " + parameter);
    std::string const text = wrapped(
        option.description() + (otherwise.empty() ? "" : " (default: " + otherwise + ")"), kColumn);
    bool const fits = name.size() + 4 <= kColumn;
    return "  " + name +
           (fits ? std::string(kColumn - 2 - name.size(), ' ') : "\n" + std::string(kColumn, ' ')) +
           text + "\n";
}

std::string refuse_unknown(po::options_description const& options,
                           po::unknown_option const& unknown) {
    std::vector<std::string> names;
    for (auto const& option : options.options()) names.push_back("--" + option->long_name());
    std::string const name = unknown.get_option_name();
    std::string meant = cluster::suggestion(name, names);
    std::string const key = framework::config::our_name_for(name);
    if (meant == ";" && !key.empty() && options.find_nothrow("set", false))
        meant = "; did you mean --set " + key + "=VALUE?";
    return fmt::format("{}: no such option{} legal: {}", name, meant, fmt::join(names, ", "));
}

/// Returns the description of an option, which says what is legal.
std::string meaning_of(po::options_description const& options, std::string const& name) {
    auto const* option = options.find_nothrow(
        name.substr(std::min(name.find_first_not_of('-'), name.size())), false);
    return option ? option->description() : "see --help";
}

/// Turns Boost's message about an option of that name into our line. `legal`: its description.
std::string refusal_of(po::error_with_option_name const& error, std::string const& name,
                       std::string const& legal) {
    std::string const what = error.what();
    if (dynamic_cast<po::required_option const*>(&error))
        return fmt::format("{}: missing; legal: {}", name, legal);
    auto const open = what.find("('"), close = what.find("')");
    if (dynamic_cast<po::validation_error const*>(&error) && open != std::string::npos &&
        close != std::string::npos)
        return fmt::format("{}: {}: legal: {}", name, what.substr(open + 2, close - open - 2),
                           legal);
    if (auto const* syntax = dynamic_cast<po::invalid_command_line_syntax const*>(&error)) {
        bool const too_much = syntax->kind() == po::invalid_syntax::extra_parameter;
        return fmt::format("{}: {}; legal: {}", name, too_much ? "takes no value" : "has no value",
                           legal);
    }
    if (dynamic_cast<po::multiple_occurrences const*>(&error))
        return fmt::format("{}: is given twice; legal: once: {}", name, legal);
    return what + "; see --help";
}

/// Turns Boost's message about a command line into our line: the option, what is wrong with it,
/// what is legal.
std::string refusal(po::options_description const& options, po::error const& error,
                    char const* positional) {
    if (auto const* unknown = dynamic_cast<po::unknown_option const*>(&error))
        return refuse_unknown(options, *unknown);
    auto const* named = dynamic_cast<po::error_with_option_name const*>(&error);
    if (!named) return std::string(error.what()) + "; see --help";
    std::string const name = named->get_option_name();
    bool const is_word = positional && name == std::string("--") + positional;
    return refusal_of(*named, is_word ? in_capitals(positional) : name, meaning_of(options, name));
}

/// A shell expands neither ~ in --output=~/data nor anything between quotation marks.
void expand_paths(po::options_description const& options, po::parsed_options& parsed) {
    constexpr std::array kPositional{"config", "data", "model", "run"};
    for (auto& given : parsed.options) {
        auto const* option = options.find_nothrow(given.string_key, false);
        std::string const kind = option ? option->format_parameter() : "";
        bool const path = kind.starts_with("FOLDER") || kind.starts_with("FILE") ||
                          kind.starts_with("RUN") ||
                          (given.position_key >= 0 &&
                           std::ranges::find(kPositional, given.string_key) != kPositional.end());
        if (!path) continue;
        for (auto& value : given.value)
            value = cluster::expand_path(
                given.position_key >= 0 ? given.string_key : "--" + given.string_key, value);
    }
}

void print_help(po::options_description const& options, char const* positional) {
    std::ostringstream shown;
    shown << options;
    std::string const text = shown.str(), caption = text.substr(0, text.find("\n\nOptions:"));
    auto const colon = caption.find(": "), blank = caption.find("\n\n");
    std::string summary = caption.substr(colon + 2, blank - colon - 2);
    summary[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(summary[0])));
    fmt::print("Usage: {} [OPTION]...\n{}.\n\nOptions:\n", caption.substr(0, colon),
               wrapped(summary, 0));
    for (auto const& option : options.options()) fmt::print("{}", option_line(*option, positional));
    fmt::print("\nExamples:\n{}\n\n{}", caption.substr(blank + 2), kExitStatus);
}

/// Options of the version before by the names that they have now, with a line for each.
std::vector<std::string> renewed(std::vector<std::string> words) {
    constexpr std::string_view kBefore = "--tokens-per-slot", kNow = "--tokens-per-micro-batch";
    for (auto& word : words) {
        if (word != kBefore && !word.starts_with(std::string(kBefore) + "=")) continue;
        word.replace(0, kBefore.size(), kNow);
        if (speaks())
            cluster::say(
                "trireme: {} is called {} now; the next version will refuse the old name\n",
                kBefore, kNow);
    }
    return words;
}

} // namespace

int report(std::exception const& error) {
    // A path that the system refuses was the user's; what a run meets on its disk is a JobError by
    // then.
    bool const bad_input = dynamic_cast<cluster::InputError const*>(&error) ||
                           dynamic_cast<std::filesystem::filesystem_error const*>(&error);
    std::string const unprinted = cluster::output_failure(); // fmt throws words of its own about it
    if (!bad_input || speaks())
        cluster::say("trireme: {}\n", unprinted.empty() ? cluster::line_of(error) : unprinted);
    if (!bad_input) return cluster::kFailed;
    return leave_in_order(launcher_rank(), std::atoi(launcher_size().c_str()), cluster::kBadInput);
}

/// Throws what Boost throws.
static po::variables_map values_of(po::options_description const& options,
                                   std::vector<std::string> const& arguments,
                                   po::positional_options_description const& words) {
    auto parsed =
        po::command_line_parser(renewed(arguments))
            .options(options)
            .positional(words)
            .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
            .run();
    expand_paths(options, parsed);
    po::variables_map values;
    po::store(parsed, values);
    return values;
}

bool parse(po::options_description& options, std::vector<std::string> const& arguments,
           char const* positional, int most) {
    options.add_options()("help,h", "show this help");
    try {
        po::positional_options_description words;
        if (positional) words.add(positional, most);
        po::variables_map values = values_of(options, arguments, words);
        bool const asked = values.contains("help");
        if (!asked) po::notify(values);
        if (asked && speaks()) print_help(options, positional);
        return !asked;
    } catch (po::too_many_positional_options_error const&) {
        throw cluster::InputError(
            fmt::format("{}: one word too many; see --help", fmt::join(arguments, " ")));
    } catch (po::error const& error) {
        throw cluster::InputError(refusal(options, error, positional));
    }
}

} // namespace trireme::launch
