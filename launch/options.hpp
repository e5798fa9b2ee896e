// Command lines, by Boost.Program_options.
#pragma once
#include <boost/program_options.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::launch {

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
    } catch (po::error const& error) {
        throw cluster::InputError(std::string(error.what()) + "; see --help");
    }
}

} // namespace trireme::launch
