#include "launch/doctor.hpp"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <set>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/mpi_communicator.hpp"
#include "data/json.hpp"
#include "launch/commands.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

char const* name_of(Severity severity) {
    return severity == Severity::ok ? "ok" : severity == Severity::warning ? "warning" : "problem";
}

namespace {

constexpr std::size_t kRowsShown = 16;

/// MPI for this command: what training would refuse is a finding here, and the look around goes on.
class Mpi {
  public:
    Mpi() {
        int argc = 0;
        char** argv = nullptr;
        try {
            environment_.emplace(argc, argv);
        } catch (cluster::InputError const& error) {
            refusal_ = error.what();
        }
    }
    ~Mpi() {
        if (!environment_ && std::uncaught_exceptions() == 0) MPI_Finalize();
    }
    Mpi(Mpi const&) = delete;
    Mpi& operator=(Mpi const&) = delete;
    std::string const& refusal() const { return refusal_; }

  private:
    std::optional<cluster::Environment> environment_;
    std::string refusal_;
};

Finding judge_mpi(std::string const& refusal) {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0, level = 0;
    MPI_Get_library_version(text.data(), &length);
    MPI_Query_thread(&level);
    std::string const all(text.data(), static_cast<std::size_t>(length)),
        version = all.substr(0, all.find_first_of(",\n"));
    char const* const names[] = {"MPI_THREAD_SINGLE", "MPI_THREAD_FUNNELED",
                                 "MPI_THREAD_SERIALIZED", "MPI_THREAD_MULTIPLE"};
    std::string const found =
        fmt::format("{}, thread level {}", version, names[std::clamp(level, 0, 3)]);
    if (!refusal.empty())
        return {Severity::problem, "MPI", found + "; " + refusal,
                "training would not start; do what the message says"};
    return {Severity::ok, "MPI", found, ""};
}

void print_ranks(std::vector<RankFacts> const& ranks) {
    std::size_t width = 4;
    for (auto const& r : ranks) width = std::max(width, r.host.size());
    fmt::print("  {:<6}{:<{}}  {:<9}{:<14}{}\n", "rank", "host", width, "pid", "cores",
               "clock against rank 0");
    for (std::size_t i = 0; i < std::min(ranks.size(), kRowsShown); ++i) {
        auto const& r = ranks[i];
        fmt::print("  {:<6}{:<{}}  {:<9}{:<14}{}\n", r.rank, r.host, width, r.pid, ranges(r.cores),
                   i ? fmt::format("{:+.0f} us, round trip {:.0f} us", r.clock_offset * 1e6,
                                   r.round_trip * 1e6)
                     : "-");
    }
    if (ranks.size() > kRowsShown)
        fmt::print("  ... {} more ranks (--json has them)\n", ranks.size() - kRowsShown);
}

void print_findings(Findings const& findings) {
    std::size_t width = 0;
    for (auto const& f : findings) width = std::max(width, f.item.size());
    for (auto const& f : findings) {
        fmt::print("  {:<9}{:<{}}  {}\n", name_of(f.severity), f.item, width, f.text);
        if (!f.cure.empty()) fmt::print("  {:<9}{:<{}}  cure: {}\n", "", "", width, f.cure);
    }
}

void print_screen(std::vector<RankFacts> const& ranks, Findings const& findings) {
    std::set<std::string> hosts;
    for (auto const& r : ranks) hosts.insert(r.host);
    fmt::print("trireme {} doctor: {} rank{} on {} host{}\n\n", TRIREME_VERSION, ranks.size(),
               ranks.size() == 1 ? "" : "s", hosts.size(), hosts.size() == 1 ? "" : "s");
    print_ranks(ranks);
    fmt::print("\n");
    print_findings(findings);
    auto const count = [&](Severity v) {
        return std::ranges::count(findings, v, &Finding::severity);
    };
    auto const problems = count(Severity::problem), warnings = count(Severity::warning);
    fmt::print("\n{}: {} problem{}, {} warning{}\n", problems ? "not fit" : "fit", problems,
               problems == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

void print_json(std::vector<RankFacts> const& ranks, Findings const& findings) {
    nlohmann::ordered_json out{{"ranks", nlohmann::ordered_json::array()},
                               {"findings", nlohmann::ordered_json::array()}};
    for (auto const& r : ranks) out["ranks"].push_back(nlohmann::ordered_json(to_json(r)));
    for (auto const& f : findings)
        out["findings"].push_back(nlohmann::ordered_json{{"item", f.item},
                                                         {"verdict", name_of(f.severity)},
                                                         {"text", f.text},
                                                         {"cure", f.cure}});
    fmt::print("{}\n", out.dump(2));
}

/// Facts of all ranks, on every rank. Collective.
std::vector<RankFacts> gather_facts(cluster::Communicator& world) {
    RankFacts own = own_facts(world.rank());
    measure_clock(world, own);
    std::vector<RankFacts> ranks;
    for (auto const& text : cluster::all_gather_bytes(world, to_json(own).dump(), "doctor/facts"))
        ranks.push_back(facts_from_json(data::parse_json("doctor/facts", text)));
    return ranks;
}

struct Request {
    std::string config, run, data;
    std::vector<std::string> set;
    bool json = false;
};

constexpr char const* kHelp =
    "trireme doctor [CONFIG]: is this machine, or this job, fit to train on? Looks at "
    "MPI, launcher, binding, memory, "
    "network, disk and clocks; ends with 1 if there is a problem\n\n"
    "  trireme doctor\n"
    "  mpirun -n 4 trireme doctor --run runs/mine --data data-reviews\n"
    "  mpirun -n 4 trireme doctor configs/film-reviews.yaml\n\nOptions";

/// Options that fill `r`, which must outlive them.
po::options_description options_of(Request& r) {
    po::options_description options(kHelp);
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    // clang-format off
    options.add_options()
        ("config", po::value(&r.config),
         "a run, as YAML: its folders, and room on the disk for its checkpoints")
        ("set", word(&r.set, "KEY=VALUE")->composing(),
         "overrides the file's value; may be repeated")
        ("run", word(&r.run, "FOLDER"),
         "folder to test for writing checkpoints: 64 MiB are written there and removed; default: "
         "that of CONFIG, or .")
        ("data", word(&r.data, "FOLDER"), "data folder that every rank must be able to read")
        ("json", po::bool_switch(&r.json), "print all facts and findings as JSON");
    // clang-format on
    return options;
}

/// Looks at everything. Collective.
Findings examine(Request r, Mpi const& mpi, std::vector<RankFacts> const& ranks,
                 cluster::Communicator& world, Planner const& plan) {
    Findings findings{judge_mpi(mpi.refusal())};
    auto const add = [&](Findings const& more) {
        findings.insert(findings.end(), more.begin(), more.end());
    };
    add(judge_job(ranks));
    add({judge_gpu()});
    if (!r.config.empty()) {
        ExaminedRun const planned = plan(r.config, r.set, world);
        if (r.run.empty()) r.run = planned.folder;
        if (r.data.empty()) r.data = planned.data;
        add({planned.room});
    }
    add(check_run_folder(world, r.run.empty() ? "." : r.run));
    if (!r.data.empty()) add(check_data_folder(world, r.data));
    return findings;
}

} // namespace

int doctor(std::vector<std::string> const& arguments, Planner const& plan) {
    Request r;
    po::options_description options = options_of(r);
    if (!parse(options, arguments, "config")) return 0;
    if (r.config.empty() && !r.set.empty())
        throw cluster::InputError("--set: legal with a CONFIG only");
    check_session_folder();
    Mpi const mpi;
    auto const world = cluster::make_mpi_world({});
    auto const ranks = gather_facts(*world);
    Findings const findings = examine(r, mpi, ranks, *world, plan);
    if (world->rank() == 0) r.json ? print_json(ranks, findings) : print_screen(ranks, findings);
    // Under a launcher one rank's code is that of the job; the others leave with 0 so that none is
    // reported as failed.
    bool const bad = std::ranges::count(findings, Severity::problem, &Finding::severity) > 0;
    return bad && world->rank() == 0 ? cluster::kFailed : cluster::kDone;
}

} // namespace trireme::launch
