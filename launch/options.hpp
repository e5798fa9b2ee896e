// Command lines, by Boost.Program_options.
#pragma once
#include <boost/program_options.hpp>
#include <string>
#include <vector>

namespace trireme::launch {

/// Fills what `options` point at; `positional` names the option that a bare word stands for. Prints the help and
/// returns false for --help. Throws InputError naming the argument.
/// The caption of `options` is "trireme NAME ARGUMENTS: what it does", an empty line, examples, an empty line,
/// "Options"; the help, the manual page and docs/command-line.md are made of it.
bool parse(boost::program_options::options_description& options, std::vector<std::string> const& arguments,
           char const* positional = nullptr);

/// The exit codes, as help texts show them.
extern char const* const kExitStatus;

} // namespace trireme::launch
