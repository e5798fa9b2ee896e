"""Shared by the Python commands: refusals of one line, outputs that are there whole or not at all, help texts."""
import argparse
import errno
import math
import os
import stat
import sys
import tempfile

REMEDIES = {  # as cluster/error.cpp
    errno.ENOSPC: " (the disk is full: see `df -h` and `df -i`; remove files there, or write to another disk)",
    errno.EDQUOT: " (the quota of this user or group is used up, whatever room the disk has: see `quota -s`, on Lustre "
                  "`lfs quota`; remove files there, or write to another file system)",
}


def refuse(line):
    """One line and the exit code of bad input, as the other commands give them."""
    print("trireme:", line, file=sys.stderr)
    sys.exit(2)


def fail(line):
    print("trireme:", line, file=sys.stderr)
    sys.exit(1)


def is_number(value):
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def reason_of(error):
    return error.strerror + REMEDIES.get(error.errno, "")


def staged(target):
    """A file of nobody else's beside the target."""
    descriptor, path = tempfile.mkstemp(prefix=os.path.basename(target) + ".partial-", dir=os.path.dirname(target) or ".")
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
    return os.fdopen(descriptor, "wb"), path


class Output:
    """Writes as cluster/output_file.hpp does: a regular file is there whole or not at all, a link is followed, a pipe or a device is
    written to; the path is tried before any work."""

    def __init__(self, path, force):
        self.path, self.target = path, os.path.realpath(path) if os.path.islink(path) else path
        self.regular = not os.path.exists(self.target) or os.path.isfile(self.target)
        if os.path.isdir(self.target):
            refuse(f"--output: {path}: is a folder; legal: the name of a file")
        if os.path.exists(self.target) and self.regular and not force:
            refuse(f"--output: {path}: exists already; legal: a new file, or --force to replace it")
        try:
            if self.regular:
                file, staging = staged(self.target)
                file.close()
                os.remove(staging)
            elif not os.access(self.target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            refuse(f"--output: {path}: {reason_of(error)}; legal: a file in a folder that exists and may be written to")

    def save(self, content):
        if not self.regular:
            with open(self.target, "ab", buffering=0) as file:
                file.write(content)
            return
        file, staging = staged(self.target)
        try:
            with file:
                file.write(content)
            os.replace(staging, self.target)
        except BaseException:
            os.remove(staging)
            raise


class Layout(argparse.RawDescriptionHelpFormatter):
    """The layout of help texts that the other commands have."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=28, width=100)

    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, "Usage: ")


def parse(parser, options, needed):
    """The arguments; mistakes are refused in the words of the other commands. `options`: all but --help."""
    meaning = {option.option_strings[0]: option.help for option in options}
    try:
        arguments, unknown = parser.parse_known_args()
    except argparse.ArgumentError as error:
        flag = any(option.nargs == 0 for option in options if error.argument_name in option.option_strings)
        refuse(f"{error.argument_name}: {'takes no' if flag else 'has no'} value; legal: "
               f"{meaning.get(error.argument_name, 'see --help')}")
    if unknown:
        refuse(f"{unknown[0]}: no such option; legal: {', '.join(meaning)}, --help")
    for name in needed:
        if not getattr(arguments, name.strip("-")):
            refuse(f"{name}: missing; legal: {meaning[name]}")
    return arguments


def deliver_name(path):
    """Prints the name of what was written."""
    try:
        print(path, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer must not fail again
        fail(f"standard output: {reason_of(error)}")


def deliver(output, content):
    """Writes the bytes and prints the name of the file."""
    try:
        output.save(content)
    except OSError as error:
        fail(f"{output.path}: write: {reason_of(error)}")
    deliver_name(output.path)


EXIT_STATUS = ("Exit status:\n  0   done\n  1   failed\n"
               "  2   bad input: the message says where, and what is legal")


def size_of(path, most):
    """Bytes of a regular file; raises OSError; refuses what is no file or longer than `most`."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        refuse(f"{path}: {found.st_size} bytes, or no file; legal: a regular file of at most {most} bytes")
    return found.st_size
