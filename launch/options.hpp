// Command lines, by Boost.Program_options.
#pragma once
#include <boost/program_options.hpp>
#include <exception>
#include <string>
#include <vector>

#include "cluster/output_file.hpp"

namespace trireme::launch {

/// Reports a command's mistake as one line on standard error, and returns the exit code. Among
/// ranks that mpirun started, the first reports for all, since each sees the same arguments.
int report(std::exception const& error);

/// Fills what `options` point at; `positional` names the option that bare words, at most `most`,
/// stand for. Prints the help and returns false for --help. Throws InputError naming the argument.
/// The caption of `options` is "trireme NAME ARGUMENTS: what it does", an empty line, examples, an
/// empty line, "Options"; the help, the manual page and docs/command-line.md are made of it.
bool parse(boost::program_options::options_description& options,
           std::vector<std::string> const& arguments, char const* positional = nullptr,
           int most = 1);

/// Translates --force into what is done about a file that exists.
inline cluster::Existing existing(bool force) {
    return force ? cluster::Existing::replaced : cluster::Existing::refused;
}

/// The exit codes, as help texts show them.
extern char const* const kExitStatus;

} // namespace trireme::launch
