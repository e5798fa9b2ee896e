// SIGUSR1, SIGUSR2, SIGTERM, SIGINT and SIGHUP ask for a checkpoint and an orderly end; SIGHUP does
// not under nohup. A launcher may deliver them to some ranks only, so ranks agree on the flag once
// a step (RunControl::agree). One that comes before the first step is obeyed after it.
#pragma once
#include <string>

namespace trireme::framework::run {

class StopSignal {
  public:
    StopSignal();  ///< installs the handlers
    ~StopSignal(); ///< restores the former ones, but where others were installed since
    StopSignal(StopSignal const&) = delete;
    StopSignal& operator=(StopSignal const&) = delete;

    static bool asked(); ///< local
    /// How a job of mpirun is stopped, since mpirun does not wait for a save: one line. "" under
    /// other launchers, which say themselves how long they wait. Local.
    static std::string advice();
};

} // namespace trireme::framework::run
