#include "launch/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "cluster/error.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

char const* const kExitStatus = "Exit status:\n"
                                "  0   done\n"
                                "  1   failed\n"
                                "  2   bad input: the message says where, and what is legal\n"
                                "  85  training was asked to stop: saved, the same command continues it\n";

namespace {

constexpr std::size_t kColumn = 28, kLineWidth = 100;

/// `text` in lines of at most kLineWidth, all but the first indented: the first begins in that column.
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

std::string option_line(po::option_description const& option, char const* positional) {
    std::string parameter = option.format_parameter(), otherwise; // "FOLDER (=runs)"
    if (auto const at = parameter.find(" (="); at != std::string::npos) {
        otherwise = parameter.substr(at + 3, parameter.size() - at - 4);
        parameter.resize(at);
    }
    std::string name = option.long_name();
    if (positional && name == positional)
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    else
        name = (name == "help" ? "-h, --" : "--") + name + (parameter.empty() ? "" : " " + parameter);
    std::string const text =
        wrapped(option.description() + (otherwise.empty() ? "" : " (default: " + otherwise + ")"), kColumn);
    bool const fits = name.size() + 4 <= kColumn;
    return "  " + name + (fits ? std::string(kColumn - 2 - name.size(), ' ') : "\n" + std::string(kColumn, ' ')) +
           text + "\n";
}

void print_help(po::options_description const& options, char const* positional) {
    std::ostringstream shown;
    shown << options;
    std::string const text = shown.str(), caption = text.substr(0, text.find("\n\nOptions:"));
    auto const colon = caption.find(": "), blank = caption.find("\n\n");
    std::string summary = caption.substr(colon + 2, blank - colon - 2);
    summary[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(summary[0])));
    fmt::print("Usage: {} [OPTION]...\n{}.\n\nOptions:\n", caption.substr(0, colon), wrapped(summary, 0));
    for (auto const& option : options.options()) fmt::print("{}", option_line(*option, positional));
    fmt::print("\nExamples:\n{}\n\n{}", caption.substr(blank + 2), kExitStatus);
}

} // namespace

bool parse(po::options_description& options, std::vector<std::string> const& arguments, char const* positional) {
    options.add_options()("help,h", "show this help");
    try {
        po::positional_options_description words;
        if (positional) words.add(positional, 1);
        po::variables_map values;
        po::store(po::command_line_parser(arguments)
                      .options(options)
                      .positional(words)
                      .style(po::command_line_style::unix_style & ~po::command_line_style::allow_guessing)
                      .run(),
                  values);
        if (values.contains("help")) {
            print_help(options, positional);
            return false;
        }
        po::notify(values);
        return true;
    } catch (po::error const& error) {
        throw cluster::InputError(std::string(error.what()) + "; see --help");
    }
}

} // namespace trireme::launch
