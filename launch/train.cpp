#include "cluster/counted.hpp"
#include "framework/train/trainer.hpp"

#include <fmt/format.h>

#include <optional>

#include "cluster/error.hpp"
#include "cluster/process.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parity/certificate.hpp"
#include "framework/run/stop_signal.hpp"
#include "launch/commands.hpp"
#include "launch/explain.hpp"
#include "launch/job_environment.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

struct TrainRequest {
    std::string file, certificate;
    std::vector<std::string> set;
    bool dry = false;
    int ranks = 0;
};

constexpr char const* kHelp =
    "trireme train CONFIG: fine-tune, or continue the run of that folder\n\n"
    "  mpirun -n 2 trireme train configs/film-reviews.yaml --set optimizer.learning_rate=5e-5\n"
    "  trireme train configs/film-reviews.yaml --dry-run --ranks 8\n\nOptions";

/// Options that fill `r`, which must outlive them.
po::options_description options_of(TrainRequest& r) {
    po::options_description options(kHelp);
    // clang-format off
    options.add_options()
        ("config", po::value(&r.file)->required(), "the run, as YAML (`explain-config --keys`)")
        ("set", po::value(&r.set)->composing()->value_name("KEY=VALUE"),
         "overrides the file's value; may be repeated; wins over the environment variable "
         "TRIREME_SET")
        ("parity", po::value(&r.certificate)->value_name("FILE"),
         "certificate of `trireme parity --out` to keep in the run folder; refused if it did not "
         "pass or is of another shape of model")
        ("dry-run", po::bool_switch(&r.dry),
         "open the inputs, show every value with its origin, model size, steps, micro-batches and "
         "memory, and write nothing")
        ("ranks", po::value(&r.ranks)->value_name("N"),
         "with --dry-run: as if started on N ranks");
    // clang-format on
    return options;
}

/// Trains, and says on rank 0 what came of it. Collective; returns the exit code.
int train_as_asked(TrainRequest const& r, framework::config::Config const& config,
                   cluster::Communicator& world) {
    if (!r.certificate.empty() && world.rank() == 0)
        framework::parity::attach_certificate(r.certificate, config);
    auto const outcome = framework::train::train(config, world, shared_job_limits(world));
    if (world.rank() == 0 && outcome.exit_code == cluster::kDone)
        cluster::print_text(fmt::format("done: {}, weights sha256 {}\nrun folder: {}\n",
                                        cluster::counted(outcome.steps, "step"),
                                        outcome.weights_sha256, config.run));
    return outcome.exit_code;
}

} // namespace

int train_command(std::vector<std::string> const& arguments) {
    TrainRequest r;
    po::options_description options = options_of(r);
    if (!parse(options, arguments, "config")) return 0;
    if (r.ranks < 0 || (r.ranks > 0 && !r.dry))
        throw cluster::InputError(
            fmt::format("--ranks: {}: legal: a number >= 1, with --dry-run", r.ranks));
    // before MPI_Init: all ranks together may take minutes to start
    std::optional<framework::run::StopSignal> listening;
    if (!r.dry) listening.emplace();
    return under_mpi([&](cluster::Communicator& world) {
        auto const resolved = read_shared_config(r.file, r.set, world);
        if (r.dry) return dry_run(resolved, r.ranks, world), static_cast<int>(cluster::kDone);
        return train_as_asked(r, resolved.config, world);
    });
}

} // namespace trireme::launch
