// One job at a time on a run folder.
#pragma once
#include <string>

#include "cluster/communicator.hpp"

namespace trireme::framework::run {

class Lock {
  public:
    /// Takes RUN/lock, making the folder if need be; rank 0 holds it. Collective. Throws InputError
    /// on every rank, naming the job that holds it.
    Lock(std::string const& run, cluster::Communicator& world);
    /// Lets go and removes the file; when the process dies, however it dies, the kernel lets go.
    ~Lock();
    /// Throws JobError on every rank if RUN/lock is this job's no longer: the folder was removed or
    /// replaced, and another job may be at work in a new one. Collective.
    void check_held(cluster::Communicator& world) const;
    Lock(Lock const&) = delete;
    Lock& operator=(Lock const&) = delete;

  private:
    std::string run_, path_;
    int descriptor_ = -1;
    bool made_folder_ = false;
};

} // namespace trireme::framework::run
