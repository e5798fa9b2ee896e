#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/output_file.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parity/certificate.hpp"
#include "launch/commands.hpp"
#include "launch/explain.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;
namespace parity = framework::parity;

namespace {

struct Options {
    std::string file, out;
    std::vector<std::string> set;
    bool full = false, mpi = false, force = false;
    std::optional<cluster::OutputFile> certificate; ///< at `out`
};

/// Started by mpirun, or by srun with PMIx or PMI? Without either the tasks of srun have no MPI.
bool has_mpi() {
    for (char const* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
        if (std::getenv(name)) return true;
    return false;
}

/// The problem of a configuration, with arithmetic set up for it.
parity::Problem read_problem(framework::config::Config const& config) {
    auto one_thread = config.numerics;
    one_thread.threads = 1;
    framework::parallelize::configure_numerics(one_thread, 1);
    return parity::make_problem(parity::read_full_model(config), config);
}

std::vector<parity::Layout> layouts_up_to(parity::Problem const& problem, int ranks) {
    return parity::all_layouts(problem.model, parity::packings(), ranks);
}

int run(Options& options, parity::Problem const& problem, framework::config::Config const& config,
        std::vector<parity::Layout> const& layouts, parity::Runner const& runner, bool speaks) {
    if (speaks)
        fmt::print("{} layouts of {}\n{}", layouts.size(), parity::shape_class(problem.model),
                   parity::heading());
    auto const report = parity::check(problem, layouts, runner, [&](auto const& layout) {
        if (!speaks) return;
        fmt::print("{}", parity::line_of(layout));
        std::fflush(stdout);
    });
    if (speaks) {
        std::string const code =
            "trireme " TRIREME_VERSION ", program xxh3 " + cluster::xxh3_of_file("/proc/self/exe");
        if (options.certificate)
            options.certificate->write(to_json(report, config, code).dump(1) + "\n");
        fmt::print("{}", parity::summary_of(report));
    }
    return report.passed() ? cluster::kDone : cluster::kFailed;
}

int prove_as_threads(Options& o) {
    auto const config =
        framework::config::read_config_with_origins(o.file, environment_assignments(), o.set)
            .config;
    say_notes(config);
    auto const problem = read_problem(config);
    auto const all = layouts_up_to(problem, 8),
               large = parity::of_every_axis(problem.model, parity::packings());
    auto layouts = o.full ? all : parity::covering(all);
    layouts.insert(layouts.end(), large.begin(), large.end());
    return run(o, problem, config, layouts, parity::run_as_threads(), true);
}

int prove_this_world(Options& o, cluster::Communicator& world) {
    if (world.size() > 8)
        throw cluster::InputError(fmt::format("{} ranks: legal: 1 to 8", world.size()));
    auto const config = read_shared_config(o.file, o.set, world).config;
    if (world.rank() == 0) say_notes(config);
    auto const problem = read_problem(config);
    auto const layouts =
        parity::covering_of_world(layouts_up_to(problem, world.size()), world.size());
    return run(o, problem, config, layouts, parity::run_in(world), world.rank() == 0);
}

} // namespace

static constexpr char const* kParityHelp =
    "trireme parity CONFIG: prove that every layout computes the same: a tiny "
    "model of the run's "
    "shape class in many layouts against one process in float64; exit status 1 if one does "
    "not\n\n"
    "  trireme parity configs/film-reviews.yaml --out parity.json\n"
    "  mpirun -n 4 trireme parity configs/film-reviews.yaml\n\nOptions";

/// Options that fill `o`, which must outlive them.
static po::options_description parity_options(Options& o) {
    po::options_description options(kParityHelp);
    // clang-format off
    options.add_options()
        ("config", po::value(&o.file)->required(), "the run, as YAML (`explain-config --keys`)")
        ("set", po::value(&o.set)->composing()->value_name("KEY=VALUE"),
         "overrides the file's value; may be repeated")
        ("out", po::value(&o.out)->value_name("FILE"),
         "file for the certificate (JSON); `trireme train "
         "--parity FILE` takes it into the run; must "
         "not exist")
        ("force", po::bool_switch(&o.force), "replace the file of --out")
        ("full", po::bool_switch(&o.full),
         "every layout of up to 8 ranks, not a subset that covers every pair of choices")
        ("mpi", po::bool_switch(&o.mpi),
         "ranks are MPI processes, as under mpirun, not threads of this one");
    // clang-format on
    return options;
}

int parity_command(std::vector<std::string> const& arguments) {
    Options o;
    po::options_description options = parity_options(o);
    if (!parse(options, arguments, "config")) return 0;
    if (!o.out.empty() && launcher_rank() <= 0) {
        cluster::refuse_input("--out", o.out, {o.file}, ".json");
        o.certificate.emplace("--out", o.out, existing(o.force));
    }
    if (o.mpi || has_mpi())
        return under_mpi([&](cluster::Communicator& world) { return prove_this_world(o, world); });
    return works_alone("parity without MPI") ? prove_as_threads(o) : cluster::kDone;
}

} // namespace trireme::launch
