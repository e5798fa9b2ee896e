// SIGUSR1, SIGTERM and SIGINT ask for a checkpoint and an orderly end. A launcher may deliver them to some ranks only,
// so ranks agree on the flag once a step (RunControl::agree). One that comes before the first step is obeyed after it.
#pragma once

namespace trireme::framework {

class StopSignal {
  public:
    StopSignal();  ///< installs the handlers
    ~StopSignal(); ///< restores the former ones
    StopSignal(StopSignal const&) = delete;
    StopSignal& operator=(StopSignal const&) = delete;

    static bool asked(); ///< local
};

} // namespace trireme::framework
