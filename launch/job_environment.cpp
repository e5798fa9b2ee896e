#include "launch/job_environment.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/process.hpp"
#include "data/json.hpp"

namespace trireme::launch {

namespace {

/// A clock counts nanoseconds since 1970 in 63 bits: until 2262.
constexpr std::int64_t kLastEnd = 9'000'000'000;

std::optional<std::int64_t> whole_number(std::string const& text) {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

std::int64_t number_of(Variables const& variables, char const* name, std::int64_t otherwise) {
    auto const text = variables(name);
    if (!text) return otherwise;
    auto const value = whole_number(*text);
    if (!value || *value > INT32_MAX)
        throw cluster::InputError(
            fmt::format("{}: {}: legal: a whole number, as Slurm sets it", name, *text));
    return *value;
}

std::optional<std::string> from_environment(std::string const& name) {
    char const* const value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
}

std::optional<std::string> output_of(std::string const& command) {
    FILE* const pipe = popen(("timeout 20 " + command + " 2>/dev/null").c_str(), "r");
    if (!pipe) return std::nullopt;
    std::string text;
    std::array<char, 256> buffer;
    while (std::fgets(buffer.data(), buffer.size(), pipe)) text += buffer.data();
    return pclose(pipe) == 0 ? std::optional(text) : std::nullopt;
}

/// Seconds since 1970.
std::optional<std::int64_t> end_of(std::string const& job, Variables const& variables,
                                   Command const& run) {
    if (auto const end = variables("SLURM_JOB_END_TIME")) {
        auto const seconds = whole_number(*end);
        if (!seconds || *seconds > kLastEnd)
            throw cluster::InputError(fmt::format(
                "SLURM_JOB_END_TIME: {}: legal: seconds since 1970, at most {}", *end, kLastEnd));
        return seconds;
    }
    auto text = run("env SLURM_TIME_FORMAT=%s squeue -h -j " + job + " -o %e");
    if (!text) return std::nullopt;
    while (!text->empty() && (text->back() == '\n' || text->back() == ' ')) text->pop_back();
    auto const seconds = whole_number(*text);
    return seconds && *seconds <= kLastEnd ? seconds
                                           : std::nullopt; // of a job without a limit: "NONE"
}

} // namespace

JobEnvironment job_environment(Variables const& variables, Command const& run) {
    JobEnvironment job;
    auto const id = variables("SLURM_JOB_ID");
    if (!id) return job;
    if (!whole_number(*id)) // it goes into a command
        throw cluster::InputError(
            fmt::format("SLURM_JOB_ID: {}: legal: a whole number, as Slurm sets it", *id));
    job.limits.job_id = *id;
    job.limits.nodes = static_cast<int>(number_of(variables, "SLURM_JOB_NUM_NODES", 1));
    job.limits.restarts = static_cast<int>(number_of(variables, "SLURM_RESTART_COUNT", 0));
    if (auto const end = end_of(*id, variables, run))
        job.limits.end = std::chrono::system_clock::time_point(std::chrono::seconds(*end));
    else
        job.note = fmt::format("note: neither SLURM_JOB_END_TIME nor squeue says when job {} ends: "
                               "it stops in good order "
                               "at a signal or at job.minutes only",
                               *id);
    return job;
}

framework::run::JobLimits shared_job_limits(cluster::Communicator& world) {
    using namespace std::chrono;
    std::string text;
    if (world.rank() == 0) {
        auto const job = job_environment(from_environment, output_of);
        if (!job.note.empty()) cluster::say("{}\n", job.note);
        auto const& l = job.limits;
        nlohmann::json packed{{"nodes", l.nodes}, {"job_id", l.job_id}, {"restarts", l.restarts}};
        if (l.end) packed["end"] = duration_cast<seconds>(l.end->time_since_epoch()).count();
        text = packed.dump();
    }
    auto const packed =
        data::parse_json("job/limits", cluster::broadcast_bytes(world, text, 0, "job/limits"));
    framework::run::JobLimits limits{.nodes = packed.at("nodes"),
                                     .job_id = packed.at("job_id"),
                                     .restarts = packed.at("restarts")};
    if (packed.contains("end"))
        limits.end = system_clock::time_point(seconds(packed.at("end").get<std::int64_t>()));
    return limits;
}

} // namespace trireme::launch
