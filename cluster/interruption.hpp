// A command that a signal ends leaves nothing half-made: Ctrl-C in the middle of an export of many
// gigabytes gives the disk back.
#pragma once
#include <csignal>
#include <string>
#include <thread>

namespace trireme::cluster {

/// Removes the folders of `remove_at_signal` when INT, TERM, HUP, USR1 or USR2 comes, and then ends
/// the process by that signal, as the system would have done at once. Make it before any other
/// thread, since a thread of its own receives the signals. A signal that is ignored, as under
/// nohup, stays ignored. Training, which saves at a signal, has run::StopSignal instead.
class RemovalAtSignal {
  public:
    RemovalAtSignal();
    ~RemovalAtSignal();
    RemovalAtSignal(RemovalAtSignal const&) = delete;
    RemovalAtSignal& operator=(RemovalAtSignal const&) = delete;

  private:
    sigset_t signals_{}, former_{};
    std::jthread receiver_;
};

/// Has this folder removed when a signal ends the process. Only a note if there is no
/// RemovalAtSignal.
void remove_at_signal(std::string const& folder);
/// Takes the folder off the list. Does not return while a signal ends the process, so that nothing
/// reports files as missing that are being removed.
void keep_at_signal(std::string const& folder);

} // namespace trireme::cluster
