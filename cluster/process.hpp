// The manners of a command: its standard streams, and what the system would end it for.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace trireme::cluster {

/// Sets up the process; every program calls it first. A closed standard stream gets a placeholder,
/// so that no file of ours becomes standard output. SIGPIPE and SIGXFSZ are ignored, so that the
/// call which meets the closed pipe or the limit reports it with its path. An exception that nobody
/// catches ends the process with one line and exit code 1.
void guard_process();

/// Writes to standard error. A terminal or a pipe that is gone ends nothing.
void say_text(std::string_view text) noexcept;
template <typename... Values>
void say(fmt::format_string<Values...> format, Values&&... values) {
    say_text(fmt::format(format, std::forward<Values>(values)...));
}

/// Writes to standard output as far as that goes; `finish_output` tells of it.
void print_text(std::string_view text) noexcept;

/// Whether a reader of standard output has to be there. Training goes on without one.
enum class Reader { needed, optional };
/// Flushes standard output. Throws JobError if not all that was printed could be written. A reader
/// that has gone (a closed terminal or pipe) counts only where it is needed.
void finish_output(Reader reader);

/// Describes in one line why standard output was not written; "" if none has failed.
std::string output_failure();

} // namespace trireme::cluster
