#include "cluster/counted.hpp"
#include "framework/train/trainer.hpp"

#include <fmt/format.h>

#include <optional>

#include "cluster/error.hpp"
#include "cluster/host_memory.hpp"
#include "cluster/process.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parity/certificate.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/memory.hpp"
#include "framework/planning/plan_report.hpp"
#include "framework/run/stop_signal.hpp"
#include "launch/commands.hpp"
#include "launch/completion_scorer.hpp"
#include "launch/explain.hpp"
#include "launch/job_environment.hpp"
#include "launch/options.hpp"
#include "launch/plan_run.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace planning = framework::planning;
namespace po = boost::program_options;

namespace {

struct TrainRequest {
    std::string file, certificate;
    std::vector<std::string> set;
    bool dry = false;
    int ranks = 0;
};

constexpr char const* kTrainHelp =
    "trireme train CONFIG: fine-tune, or continue the run of that folder\n\n"
    "  mpirun -n 2 trireme train configs/film-reviews.yaml --set optimizer.learning_rate=5e-5\n"
    "  trireme train configs/film-reviews.yaml --dry-run --ranks 8\n\nOptions";

/// Options that fill `r`, which must outlive them.
po::options_description train_options(TrainRequest& r) {
    po::options_description options(kTrainHelp);
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

/// The peak of a device of the machine that the configuration names. Throws InputError.
double peak_flops(framework::config::Config const& config) {
    if (config.log.machine.empty()) return 0;
    return planning::read_machine(config.log.machine, machines_folder()).machine.gpu.matrix_flops;
}

/// Counts operations as plans do: in one token of a sample of no length, and more with its length.
framework::run::Expectation expectation(framework::model::Config const& model, double peak) {
    planning::OwnRun run{.model = planning::shape_of(model)};
    auto const none = planning::flops_per_token(run);
    run.sequence = 1;
    auto const one = planning::flops_per_token(run);
    auto const line = [](double at_0, double at_1) {
        return framework::run::TokenFlops{at_0, at_1 - at_0};
    };
    return {.flops = {line(none.megatron, one.megatron), line(none.palm, one.palm),
                      line(none.torchtitan, one.torchtitan)},
            .peak_flops = peak};
}

/// The job's first step, as its data are.
planning::StepDescription first_step(framework::train::RunContext const& run) {
    auto const& c = run.config;
    planning::StepDescription step{.mesh = run.mesh.shape(),
                                   .section = c.parallel,
                                   .numerics = c.numerics,
                                   .tokens_per_micro_batch = c.batch.tokens_per_micro_batch,
                                   .base = c.train.base_divergence > 0,
                                   .average = c.optimizer.ema_decay > 0};
    auto const plan = data::plan_step(*run.inputs.train, run.shape, c.seed, run.progress.cursor);
    for (auto const& micro_batch : plan.micro_batches)
        for (auto const sample : micro_batch)
            step.lengths.push_back(run.inputs.train->length(sample));
    return step;
}

/// Trains, and says on rank 0 what came of it. Collective; returns the exit code.
int train_as_asked(TrainRequest const& r, framework::config::Config const& config,
                   TextService* service, cluster::Communicator& world) {
    if (!r.certificate.empty() && world.rank() == 0)
        framework::parity::attach_certificate(r.certificate, config);
    double const peak = peak_flops(config);
    std::int64_t const before = cluster::peak_memory();
    auto const expect = [&](framework::train::RunContext const& run) {
        auto expected = expectation(run.inputs.model, peak);
        if (!config.log.machine.empty())
            expected.memory =
                before +
                planning::predict_memory(run.inputs.model, first_step(run), world.rank()).peak.peak;
        return expected;
    };
    auto const limits = shared_job_limits(world);
    bool const scores = config.evaluation.generate > 0 && world.rank() == 0;
    auto const outcome =
        framework::train::train(config, world, limits, expect,
                                completion_scorer(scores ? &service_of_rank_0(service) : nullptr));
    if (world.rank() == 0 && outcome.exit_code == cluster::kDone)
        cluster::print_text(fmt::format("done: {}, weights sha256 {}\nrun folder: {}\n",
                                        cluster::counted(outcome.steps, "step"),
                                        outcome.weights_sha256, config.run));
    return outcome.exit_code;
}

} // namespace

int train_command(std::vector<std::string> const& arguments) {
    TrainRequest r;
    po::options_description options = train_options(r);
    if (!parse(options, arguments, "config")) return 0;
    if (r.ranks < 0 || (r.ranks > 0 && !r.dry))
        throw cluster::InputError(
            fmt::format("--ranks: {}: legal: a number >= 1, with --dry-run", r.ranks));
    // before MPI_Init: all ranks together may take minutes to start
    std::optional<framework::run::StopSignal> listening;
    if (!r.dry) listening.emplace();
    std::optional<TextService> service; // before MPI_Init, and without Python in this process
    if (!r.dry) start_scorer(service, r.file, r.set);
    return under_mpi([&](cluster::Communicator& world) {
        if (world.rank() != 0) service.reset();
        auto const resolved = read_shared_config(r.file, r.set, world);
        if (r.dry) return dry_run(resolved, r.ranks, world), static_cast<int>(cluster::kDone);
        return train_as_asked(r, resolved.config, service ? &*service : nullptr, world);
    });
}

} // namespace trireme::launch
