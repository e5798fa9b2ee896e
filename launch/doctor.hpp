// Holds what `trireme doctor` finds. Facts are gathered from every rank; rank 0 judges them.
#pragma once
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::launch {

enum class Severity : std::uint8_t { ok, warning, problem };
char const* name_of(Severity severity);

struct Finding {
    Severity severity = Severity::ok;
    std::string item; ///< "binding"
    std::string text; ///< finding in words
    std::string cure; ///< what to do about it; empty if ok
};
using Findings = std::vector<Finding>;

/// Holds what one rank knows of itself and its host.
struct RankFacts {
    int rank = 0;
    std::string host, launcher, versions, processor, capability;
    std::int64_t pid = 0;
    std::vector<int> cores; ///< that it may run on
    int cores_online = 1;   ///< cores of the host, or of what Slurm gave this job on it
    /// cores' worth of time that its control group allows; 0: no limit
    double quota = 0;
    int omp_threads = 0;         ///< OMP_NUM_THREADS; 0: not set
    int slurm_cpus_per_task = 0; ///< 0: not set
    /// bytes it could still have: free memory of host or control group
    std::int64_t memory = 0;
    /// bytes free in /dev/shm, by which ranks of a host talk
    std::int64_t shared_memory = 0;
    /// interfaces with an IPv4 address that are up, blank-separated
    std::string network;
    double clock_offset = 0, round_trip = 0; ///< seconds, against rank 0
};
nlohmann::json to_json(RankFacts const& facts);
RankFacts facts_from_json(nlohmann::json const& json);

// doctor_machine.cpp: one process looks at itself. Local.
RankFacts own_facts(int rank);
/// mpirun | srun with PMIx | srun without PMIx | none, from the environment.
std::string launcher_name();
/// "0-3,8"
std::string ranges(std::vector<int> const& numbers);
/// Libraries this process runs with: "trireme 0.1.0, libtorch 2.15.0, ...".
std::string library_versions();
/// Whether this build has the NCCL back end, and whether the host has a GPU to use it.
Finding judge_gpu();

// doctor_job.cpp: collective over `world`, or pure.
/// Clock of every rank against rank 0's: the middle of the shortest of several round trips
/// (Cristian 1989). Collective.
void measure_clock(cluster::Communicator& world, RankFacts& facts);
/// All that can be said of the job from the facts of all its ranks. Pure.
Findings judge_job(std::vector<RankFacts> const& ranks);

/// Folders of a run, as its configuration names them, and whether its checkpoints have room.
struct ExaminedRun {
    std::string folder, data;
    Finding room; ///< meaningful on rank 0
};
/// Made by the code that trains, which this library does not know. Collective. Throws InputError
/// for a configuration that cannot be read.
using Planner = std::function<ExaminedRun(
    std::string const& file, std::vector<std::string> const& set, cluster::Communicator&)>;
int doctor(std::vector<std::string> const& arguments, Planner const& plan);

// doctor_disk.cpp
/// Free space, write speed with and without fsync, rename, and whether all ranks see the file.
/// Collective; rank 0 writes 64 MiB below `folder`, or below its nearest parent that is there, and
/// removes it. Meaningful on rank 0.
Findings check_run_folder(cluster::Communicator& world, std::string const& folder);
/// Whether every rank can read the data. Collective.
Findings check_data_folder(cluster::Communicator& world, std::string const& folder);

} // namespace trireme::launch
