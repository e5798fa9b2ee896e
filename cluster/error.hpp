// The two error families (design: bad input is cheap and names its cure; a job error names its
// rank).
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace trireme::cluster {

/// Says in one line why the user's input cannot work: where, which field, which value, what is
/// legal. Thrown before anything large is allocated or written. Exit code 2.
class InputError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The job itself failed: a call, a peer, a deadline. The message carries rank@host. Exit code 1.
class JobError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Turns a message into one line for a person, whatever names and values of files it quotes.
/// Control characters are spelled out, so that no file can write to a terminal; the middle of a
/// very long message is left out.
std::string one_line(std::string_view message);
/// `one_line` of an error; of an error of a library the first line alone, since stacks follow.
std::string line_of(std::exception const& error);

/// Words of the system for `error`, a value of errno, and the way on where there is one: a full
/// disk and a quota that is used up look alike from inside a job, and are mended in different ways.
std::string reason_of(int error);

/// The exit codes are part of the interface of the command line.
/// kHalted: saved where there was something to save, and no job should go on by itself (a file
/// STOP, a spent budget, no progress).
enum ExitCode : int { kDone = 0, kFailed = 1, kBadInput = 2, kHalted = 3, kSavedToContinue = 85 };

} // namespace trireme::cluster
