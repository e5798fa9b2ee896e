// Jobs that meet a fault, and what came of it.
#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace trireme::test {

struct SaidLine {
    double at; ///< seconds since the job's start
    std::string text;
};

struct FaultyJob {
    int exit_code = 0;  ///< of mpirun; -1: ended by a signal
    double seconds = 0; ///< of the whole job
    std::vector<SaidLine> lines;

    std::string output() const;
    /// The first line that holds all of `words`; nothing if there is none.
    SaidLine const* find(std::vector<std::string> const& words) const;
    /// Lines that begin with "trireme: " and are no fired fault.
    std::vector<SaidLine> reports() const;
    bool fired() const { return find({"fault fired: "}) != nullptr; }
    /// Seconds from the fault to the first report; -1 if one of them is missing.
    double detect_seconds() const;
};

/// Processes of the ranks whose command line names `folder`, in the order of their ids.
std::vector<int> rank_processes(std::string const& folder);
/// Likewise of any program whose path ends like this.
std::vector<int> processes_of(std::string const& program, std::string const& folder);
/// weights_sha256 of a tiny run that met no fault.
std::string const& unbroken_hash();

/// A tiny run and the hash of one that met no fault (made once per process).
class FaultyRun {
  public:
    /// `settings`: KEY=VALUE for all jobs of the run.
    explicit FaultyRun(std::vector<std::string> settings = {});

    /// One job of the run on `ranks` ranks with TRIREME_FAULT set to `fault` ("": none), to its
    /// end. `meanwhile` is called for each line that it says.
    FaultyJob job(int ranks, std::string const& fault,
                  std::vector<std::string> const& settings = {},
                  std::function<void(SaidLine const&)> const& meanwhile = {});
    /// What becomes of the run after a fault.
    struct Recovery {
        FaultyJob job;
        double seconds = -1; ///< from the job's start to its first step
        int steps_lost = -1; ///< that are done a second time
    };
    /// Continues without a fault. Expects that it ends well and with the hash of an unbroken run.
    Recovery recover(int ranks);
    nlohmann::json status() const; ///< what `trireme status --json` says
    /// Expects that it names rank `rank`, and `words` in why the last job ended.
    void expect_guilty(int rank, std::vector<std::string> const& words) const;
    std::string run() const { return folder_.path() + "/run"; }
    std::string const& folder() const { return folder_.path(); }

  private:
    TemporaryFolder folder_;
    std::vector<std::string> settings_;
};

} // namespace trireme::test
