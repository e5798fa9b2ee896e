// Gathers what one process can see of itself and its host, without communication.
#include <ATen/Version.h>
#include <H5public.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <torch/version.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "cluster/host.hpp"
#include "cluster/host_memory.hpp"
#include "cluster/kernel_files.hpp"
#include "cluster/nccl_communicator.hpp"
#include "launch/doctor.hpp"

namespace trireme::launch {

namespace {

int number_in(char const* variable) {
    char const* const text = std::getenv(variable);
    return text ? std::atoi(text) : 0;
}

double cpu_quota() {
    double least = 0;
    for (auto const& folder : cluster::control_groups()) {
        std::istringstream words(
            cluster::first_line(folder + "/cpu.max")); // "200000 100000", or "max 100000"
        double time = 0, period = 0;
        if (words >> time >> period && period > 0 && (least == 0 || time / period < least))
            least = time / period;
    }
    return least;
}

std::int64_t free_shared_memory() {
    struct statvfs found {};
    return statvfs("/dev/shm", &found) == 0
               ? static_cast<std::int64_t>(found.f_bavail * found.f_frsize)
               : 0;
}

std::string interfaces() {
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0) return "";
    std::string text;
    for (auto const* i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET) continue;
        if (!(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK)) continue;
        text += (text.empty() ? "" : " ") + std::string(i->ifa_name);
    }
    freeifaddrs(all);
    return text;
}

/// "2024.2-Product Build 20240605" out of a sentence.
std::string mkl_version() {
    std::string const text = at::get_mkl_version(), before = "Version ";
    auto const start = text.find(before), end = text.find(" for");
    return start == std::string::npos
               ? "none"
               : text.substr(start + before.size(), end - start - before.size());
}

std::vector<int> own_cores() {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    sched_getaffinity(0, sizeof mask, &mask);
    std::vector<int> cores;
    for (int c = 0; c < CPU_SETSIZE; ++c)
        if (CPU_ISSET(c, &mask)) cores.push_back(c);
    return cores;
}

} // namespace

nlohmann::json to_json(RankFacts const& f) {
    return {{"rank", f.rank},
            {"host", f.host},
            {"launcher", f.launcher},
            {"versions", f.versions},
            {"processor", f.processor},
            {"capability", f.capability},
            {"pid", f.pid},
            {"cores", f.cores},
            {"cores_online", f.cores_online},
            {"quota", f.quota},
            {"omp_threads", f.omp_threads},
            {"slurm_cpus_per_task", f.slurm_cpus_per_task},
            {"memory", f.memory},
            {"shared_memory", f.shared_memory},
            {"network", f.network},
            {"clock_offset", f.clock_offset},
            {"round_trip", f.round_trip}};
}

RankFacts facts_from_json(nlohmann::json const& j) {
    return {.rank = j.at("rank"),
            .host = j.at("host"),
            .launcher = j.at("launcher"),
            .versions = j.at("versions"),
            .processor = j.at("processor"),
            .capability = j.at("capability"),
            .pid = j.at("pid"),
            .cores = j.at("cores"),
            .cores_online = j.at("cores_online"),
            .quota = j.at("quota"),
            .omp_threads = j.at("omp_threads"),
            .slurm_cpus_per_task = j.at("slurm_cpus_per_task"),
            .memory = j.at("memory"),
            .shared_memory = j.at("shared_memory"),
            .network = j.at("network"),
            .clock_offset = j.at("clock_offset"),
            .round_trip = j.at("round_trip")};
}

std::string launcher_name() {
    if (std::getenv("OMPI_COMM_WORLD_SIZE")) return "mpirun";
    if (!std::getenv("SLURM_STEP_ID") || !std::getenv("SLURM_PROCID")) return "none";
    return std::getenv("PMIX_RANK") ? "srun with PMIx" : "srun without PMIx";
}

std::string ranges(std::vector<int> const& numbers) {
    std::string text;
    for (std::size_t i = 0, end; i < numbers.size(); i = end) {
        for (end = i + 1; end < numbers.size() && numbers[end] == numbers[end - 1] + 1;) ++end;
        text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
        if (end - i > 1) text += fmt::format("-{}", numbers[end - 1]);
    }
    return text;
}

std::string library_versions() {
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    return fmt::format("trireme {}, libtorch {}, MKL {}, HDF5 {}.{}.{}, yaml-cpp {}, fmt {}.{}, "
                       "nlohmann-json {}.{}.{}",
                       TRIREME_VERSION, TORCH_VERSION, mkl_version(), major, minor, release,
                       TRIREME_YAML_VERSION, FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                       NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                       NLOHMANN_JSON_VERSION_PATCH);
}

RankFacts own_facts(int rank) {
    int const given = number_in("SLURM_CPUS_ON_NODE");
    return {.rank = rank,
            .host = cluster::host_name(),
            .launcher = launcher_name(),
            .versions = library_versions(),
            .processor = cluster::field_of("/proc/cpuinfo", "model name"),
            .capability = at::get_cpu_capability(),
            .pid = getpid(),
            .cores = own_cores(),
            .cores_online = given > 0 ? given : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
            .quota = cpu_quota(),
            .omp_threads = number_in("OMP_NUM_THREADS"),
            .slurm_cpus_per_task = number_in("SLURM_CPUS_PER_TASK"),
            .memory = cluster::memory_left(),
            .shared_memory = free_shared_memory(),
            .network = interfaces()};
}

Finding judge_gpu() {
    bool const device =
        std::filesystem::exists("/dev/nvidia0") || std::filesystem::exists("/dev/nvidiactl");
    if (cluster::has_nccl())
        return {Severity::ok, "GPU",
                device ? "build with NCCL, and a device" : "build with NCCL, no device here", ""};
    if (!device) return {Severity::ok, "GPU", "CPU build, and no device here", ""};
    return {Severity::warning, "GPU", "a device is here, but this build is for CPUs",
            "launch/setup --gpu && cmake --preset gpu && cmake --build build"};
}

} // namespace trireme::launch
