// `trireme submit`: a Slurm job that trains, as a script that is shown or handed to sbatch.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/process.hpp"
#include "cluster/xxh3.hpp"
#include "framework/planning/run_preview.hpp"
#include "launch/batch_script.hpp"
#include "launch/commands.hpp"
#include "launch/explain.hpp"
#include "launch/options.hpp"
#include "launch/programs.hpp"

namespace trireme::launch {

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

constexpr int kNotGiven = std::numeric_limits<int>::min();

struct SubmitRequest {
    std::string config, site, name, time, launcher, account, partition, qos;
    std::vector<std::string> set, sbatch;
    int nodes = 0, tasks_per_node = kNotGiven, cpus_per_task = kNotGiven, lead = kNotGiven,
        chain = 1;
    bool print = false;
};

int at_least_one(char const* option, int value) {
    if (value < 1)
        throw cluster::InputError(fmt::format("{}: {}: legal: a whole number >= 1", option, value));
    return value;
}

int of_user_or_site(char const* option, int asked, int of_site, Site const& site) {
    if (asked != kNotGiven) return at_least_one(option, asked);
    if (of_site == 0)
        throw cluster::InputError(fmt::format(
            "{}: missing; the site {} says none; legal: a whole number >= 1", option, site.name));
    return of_site;
}

/// The site's options, with those of the command line in their place.
NamedValues sbatch_options(SubmitRequest const& r, Site const& site) {
    NamedValues all = site.sbatch;
    auto const put = [&](std::string const& field, std::string const& name,
                         std::string const& value) {
        check_sbatch_option(field, name, value);
        std::erase_if(all, [&](auto const& option) { return option.first == name; });
        all.emplace_back(name, value);
    };
    for (auto const& word : r.sbatch) {
        auto const equals = word.find('=');
        put("--sbatch", word.substr(0, equals),
            equals == std::string::npos ? "" : word.substr(equals + 1));
    }
    if (!r.account.empty()) put("--account", "account", r.account);
    if (!r.partition.empty()) put("--partition", "partition", r.partition);
    if (!r.qos.empty()) put("--qos", "qos", r.qos);
    return all;
}

void check_time(SubmitRequest const& r, BatchJob const& job, Site const& site) {
    long long const seconds = seconds_of("--time", r.time);
    if (site.most_minutes > 0 && seconds > 60LL * site.most_minutes)
        throw cluster::InputError(
            fmt::format("--time: {}: legal: at most {} minutes, the limit of {}", r.time,
                        site.most_minutes, site.name));
    if (job.lead < 1 || 2LL * job.lead > seconds)
        throw cluster::InputError(fmt::format("--lead: {}: legal: 1 to {} s, half of --time {}",
                                              job.lead, seconds / 2, r.time));
}

/// One name for all jobs of a run folder and for no other's: Slurm's singleton and the script's
/// scancel go by it.
std::string default_name(std::string const& run) {
    std::error_code none; // what cannot be resolved is taken as it is written
    fs::path folder = fs::weakly_canonical(fs::absolute(run), none);
    if (none) folder = fs::absolute(run);
    std::string name = folder.filename().string();
    std::ranges::replace_if(
        name, [](unsigned char c) { return !std::isalnum(c) && !std::strchr("_.-", c); }, '-');
    if (name.empty() || !std::isalnum(static_cast<unsigned char>(name.front())))
        name = "run" + name;
    return fmt::format("{}-{:08x}", name.substr(0, 64),
                       cluster::xxh3_64(folder.string()) & 0xffffffffU);
}

/// Refuses now what the run would refuse after a night in the queue. A script that is only shown
/// may be for another machine.
void check_run(framework::config::Config const& config, int ranks, bool only_shown) {
    framework::planning::check_degrees(config, ranks);
    framework::inputs::Inputs inputs;
    try {
        inputs = framework::inputs::open_inputs(config);
    } catch (cluster::InputError const& error) {
        if (!only_shown) throw;
        cluster::say("note: model and data were not looked at: {}\n", cluster::line_of(error));
        return;
    }
    framework::inputs::check_start(config, inputs,
                                   framework::planning::preview_run(config, ranks).room);
}

/// Takes nodes, tasks, cores and times of the user's request, or else of the site.
void take_size(SubmitRequest const& r, Site const& site, BatchJob& job) {
    job.nodes = at_least_one("--nodes", r.nodes);
    job.tasks_per_node =
        of_user_or_site("--tasks-per-node", r.tasks_per_node, site.tasks_per_node, site);
    job.cpus_per_task =
        of_user_or_site("--cpus-per-task", r.cpus_per_task, site.cpus_per_task, site);
    if (std::int64_t{job.nodes} * job.tasks_per_node > 1'000'000)
        throw cluster::InputError(
            fmt::format("--nodes: {}: legal: with {} tasks per node at most 1,000,000 ranks",
                        job.nodes, job.tasks_per_node));
    job.time = r.time;
    job.lead = r.lead != kNotGiven ? r.lead : site.lead;
    check_time(r, job, site);
}

BatchJob job_of(SubmitRequest const& r, Site const& site, std::string const& run) {
    BatchJob job;
    take_size(r, site, job);
    job.launcher = r.launcher.empty() ? site.launcher : r.launcher;
    if (job.launcher != "srun" && job.launcher != "mpirun")
        throw cluster::InputError(fmt::format("--launcher: {}: legal: srun, mpirun", job.launcher));
    if (r.chain < 1 || r.chain > 100)
        throw cluster::InputError(fmt::format("--chain: {}: legal: 1 to 100", r.chain));
    job.requeue_itself = r.chain == 1;
    job.sbatch = sbatch_options(r, site);
    job.name = r.name.empty() ? default_name(run) : r.name;
    job.command = {own_folder() / "trireme", "train", fs::absolute(r.config)};
    for (auto const& assignment : r.set)
        job.command.insert(job.command.end(), {"--set", assignment});
    return job;
}

std::string sites_folder() {
    auto const installed = own_folder().parent_path() / "share/trireme/sites";
    return exists(installed) ? installed.string() : TRIREME_SITES;
}

/// Hands the script in FILE to sbatch. Returns the job's id. What sbatch says about a refusal goes
/// to standard error.
std::string sbatch(std::string const& file) {
    std::string const command = "sbatch --parsable " + shell_word(file);
    FILE* const pipe = popen(command.c_str(), "r");
    if (!pipe)
        throw cluster::JobError(std::string("sbatch cannot be started: ") + std::strerror(errno));
    std::string said;
    std::array<char, 256> buffer;
    while (std::fgets(buffer.data(), buffer.size(), pipe)) said += buffer.data();
    int const status = pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        throw cluster::InputError(
            "sbatch is not there; submit on a login node of the site, or see the script with "
            "--print");
    if (status != 0) throw cluster::JobError("sbatch refused the job, see above");
    return said.substr(0, said.find_first_of(";\n")); // ID;CLUSTER
}

/// A file that sbatch reads, and keeps, before it returns.
struct ScriptFile {
    std::string path = (fs::temp_directory_path() / "trireme-submit-XXXXXX").string();
    ScriptFile() {
        int const fd = mkstemp(path.data());
        if (fd < 0)
            throw cluster::JobError(path + ": cannot be made: " + cluster::reason_of(errno));
        close(fd);
    }
    ~ScriptFile() { unlink(path.c_str()); }
    ScriptFile(ScriptFile const&) = delete;
    ScriptFile& operator=(ScriptFile const&) = delete;
};

void submit(std::string const& script, int jobs, std::string const& name) {
    ScriptFile const file;
    cluster::write_file(file.path, script);
    std::vector<std::string> ids;
    try {
        for (int i = 0; i < jobs; ++i) ids.push_back(sbatch(file.path));
    } catch (cluster::JobError const& error) {
        if (ids.empty()) throw;
        throw cluster::JobError(
            fmt::format("{}; submitted before it: {}", error.what(), fmt::join(ids, ", ")));
    }
    fmt::print("submitted as {}: {}\n", name, fmt::join(ids, ", "));
}

/// Options that fill `r`, which must outlive them.
po::options_description submit_options(SubmitRequest& r) {
    po::options_description options("trireme submit CONFIG: submit a Slurm job that trains, saves "
                                    "before its end and goes on in the next job; the "
                                    "site says what the machine wants (configs/sites)\n\n"
                                    "  trireme submit configs/film-reviews.yaml --site leonardo "
                                    "--nodes 4 --time 12:00:00 --account me --chain 5\n"
                                    "  trireme submit configs/film-reviews.yaml --site lumi-g "
                                    "--nodes 4 --time 12:00:00 --print\n\nOptions");
    auto const number = [](int& of) { return po::value(&of)->value_name("N"); };
    auto const text = [](std::string& of, char const* what) {
        return po::value(&of)->value_name(what);
    };
    auto const list = [](std::vector<std::string>& of, char const* what) {
        return po::value(&of)->composing()->value_name(what);
    };
    // clang-format off
    options.add_options()
        ("config", po::value(&r.config)->required(),
         "the run, as YAML (`explain-config --keys`)")
        ("site", text(r.site, "SITE")->required(),
         "name of a file of configs/sites, or the path of your own")
        ("nodes", number(r.nodes)->required(), "nodes of a job")
        ("time", text(r.time, "TIME")->required(),
         "time limit of a job: MINUTES, H:MM:SS or D-HH:MM:SS")
        ("chain", number(r.chain)->default_value(1),
         "jobs, one after the other, until the run is done; 1: one job, which requeues itself "
         "after a save")
        ("print", po::bool_switch(&r.print), "show the script, submit nothing; needs no Slurm")
        ("set", list(r.set, "KEY=VALUE"), "overrides the file's value; may be repeated")
        ("account", text(r.account, "NAME"), "passed to sbatch")
        ("partition", text(r.partition, "NAME"), "passed to sbatch")
        ("qos", text(r.qos, "NAME"), "passed to sbatch")
        ("sbatch", list(r.sbatch, "NAME=VALUE"),
         "any other option of sbatch, over the site's; may be repeated")
        ("name", text(r.name, "NAME"),
         "name of the jobs; jobs of one name run one at a time (default: of the run folder)")
        ("launcher", text(r.launcher, "NAME"), "srun or mpirun (default: the site's)")
        ("tasks-per-node", number(r.tasks_per_node), "ranks of a node (default: the site's)")
        ("cpus-per-task", number(r.cpus_per_task), "cores of a rank (default: the site's)")
        ("lead", po::value(&r.lead)->value_name("SECONDS"),
         "seconds before its end at which a job is told to save (default: the site's)");
    // clang-format on
    return options;
}

} // namespace

int submit_command(std::vector<std::string> const& arguments) {
    SubmitRequest r;
    po::options_description options = submit_options(r);
    if (!parse(options, arguments, "config")) return 0;
    auto const resolved =
        framework::config::read_config_with_origins(r.config, environment_assignments(), r.set);
    say_notes(resolved.config);
    Site const site = read_site(r.site, sites_folder());
    BatchJob const job = job_of(r, site, resolved.config.run);
    std::string const script = batch_script(job, site);
    check_run(resolved.config, job.nodes * job.tasks_per_node, r.print);
    if (r.print)
        fmt::print("{}", script);
    else
        submit(script, r.chain, job.name);
    return 0;
}

} // namespace trireme::launch
