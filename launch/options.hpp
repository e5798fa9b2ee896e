// Command lines, by Boost.Program_options.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"

namespace trireme::launch {

/// What a command's mistake looks like from outside: one line on standard error, and the exit code to give back. Of
/// ranks that mpirun started, the first speaks for all: each sees the same arguments.
inline int report(std::exception const& error) {
    bool const bad_input = dynamic_cast<cluster::InputError const*>(&error) != nullptr;
    char const* const rank = std::getenv("OMPI_COMM_WORLD_RANK");
    if (!bad_input || !rank || std::string_view(rank) == "0")
        fmt::print(stderr, "trireme: {}\n", cluster::line_of(error));
    else // mpirun ends all ranks when the first of them ends: let it be the one that speaks
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return bad_input ? cluster::kBadInput : cluster::kFailed;
}

/// What Boost says of a command line, as our line: the option, what is wrong with it, what is legal.
inline std::string refusal(boost::program_options::options_description const& options,
                           boost::program_options::error const& error) {
    namespace po = boost::program_options;
    std::vector<std::string> names;
    for (auto const& option : options.options()) names.push_back("--" + option->long_name());
    if (auto const* unknown = dynamic_cast<po::unknown_option const*>(&error)) {
        std::string const name = unknown->get_option_name();
        return fmt::format("{}: no such option; did you mean {}? legal: {}", name, cluster::nearest(name, names),
                           fmt::join(names, ", "));
    }
    auto const meaning = [&](std::string const& name) {
        auto const* option =
            options.find_nothrow(name.substr(std::min(name.find_first_not_of('-'), name.size())), false);
        return option ? option->description() : "see --help";
    };
    if (auto const* missing = dynamic_cast<po::required_option const*>(&error))
        return fmt::format("{}: missing; legal: {}", missing->get_option_name(), meaning(missing->get_option_name()));
    if (auto const* bad = dynamic_cast<po::validation_error const*>(&error)) {
        std::string const what = error.what(), name = bad->get_option_name();
        auto const open = what.find("('"), close = what.find("')");
        if (open != std::string::npos && close != std::string::npos)
            return fmt::format("{}: {}: legal: {}", name, what.substr(open + 2, close - open - 2), meaning(name));
    }
    if (auto const* syntax = dynamic_cast<po::invalid_command_line_syntax const*>(&error))
        return fmt::format("{}: has no value; legal: {}", syntax->get_option_name(),
                           meaning(syntax->get_option_name()));
    return std::string(error.what()) + "; see --help";
}

/// Fills what `options` point at; `positional` names the option that a bare word stands for. Prints the help and
/// returns false for --help. Throws InputError naming the argument.
inline bool parse(boost::program_options::options_description& options, std::vector<std::string> const& arguments,
                  char const* positional = nullptr) {
    namespace po = boost::program_options;
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
            std::cout << options;
            return false;
        }
        po::notify(values);
        return true;
    } catch (po::too_many_positional_options_error const&) {
        throw cluster::InputError(fmt::format("{}: one word too many; see --help", fmt::join(arguments, " ")));
    } catch (po::error const& error) {
        throw cluster::InputError(refusal(options, error));
    }
}

} // namespace trireme::launch
