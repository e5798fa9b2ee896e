#include "cluster/counted.hpp"
#include "framework/config/names.hpp"
#include "framework/train/trainer.hpp"

#include <fmt/format.h>

#include <optional>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "framework/jobs/evaluate.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parity/certificate.hpp"
#include "framework/run/stop_signal.hpp"
#include "launch/commands.hpp"
#include "launch/explain.hpp"
#include "launch/job_environment.hpp"
#include "launch/launcher.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

int train_command(std::vector<std::string> const& arguments) {
    std::string file, certificate;
    std::vector<std::string> set;
    bool dry = false;
    int ranks = 0;
    po::options_description options(
        "trireme train CONFIG: fine-tune, or continue the run of that folder\n\n"
        "  mpirun -n 2 trireme train configs/film-reviews.yaml --set optimizer.learning_rate=5e-5\n"
        "  trireme train configs/film-reviews.yaml --dry-run --ranks 8\n\nOptions");
    options.add_options()("config", po::value(&file)->required(),
                          "the run, as YAML (`explain-config --keys`)")(
        "set", po::value(&set)->composing()->value_name("KEY=VALUE"),
        "overrides the file's value; may be repeated; wins over the environment variable "
        "TRIREME_SET")(
        "parity", po::value(&certificate)->value_name("FILE"),
        "certificate of `trireme parity --out` to keep in the run folder; refused if it did not "
        "pass or is of another "
        "shape of model")("dry-run", po::bool_switch(&dry),
                          "open the inputs, show every value with its origin, model size, steps, "
                          "micro-batches and memory, and write nothing")(
        "ranks", po::value(&ranks)->value_name("N"), "with --dry-run: as if started on N ranks");
    if (!parse(options, arguments, "config")) return 0;
    if (ranks < 0 || (ranks > 0 && !dry))
        throw cluster::InputError(
            fmt::format("--ranks: {}: legal: a number >= 1, with --dry-run", ranks));
    // before MPI_Init: all ranks together may take minutes to start
    std::optional<framework::run::StopSignal> listening;
    if (!dry) listening.emplace();
    return under_mpi([&](cluster::Communicator& world) {
        auto const resolved = read_shared_config(file, set, world);
        if (dry) return dry_run(resolved, ranks, world), static_cast<int>(cluster::kDone);
        framework::config::Config const& config = resolved.config;
        if (!certificate.empty() && world.rank() == 0)
            framework::parity::attach_certificate(certificate, config);
        auto const outcome = framework::train::train(config, world, shared_job_limits(world));
        if (world.rank() == 0 && outcome.exit_code == cluster::kDone)
            cluster::print_text(fmt::format("done: {}, weights sha256 {}\nrun folder: {}\n",
                                            cluster::counted(outcome.steps, "step"),
                                            outcome.weights_sha256, config.run));
        return outcome.exit_code;
    });
}

int evaluate_command(std::vector<std::string> const& arguments) {
    framework::jobs::EvaluationJob job;
    std::string predictions;
    bool force = false;
    po::options_description options(
        "trireme evaluate --model FOLDER --data FOLDER: exact metrics of a model on a split, the "
        "same for any rank "
        "count\n\n"
        "  mpirun -n 2 trireme evaluate --model exported --data data-reviews --split test\n"
        "  mpirun -n 8 trireme evaluate --model large --data data --set parallel.pipeline=2 --set "
        "parallel.tensor=4\n\nOptions");
    options.add_options()("model", po::value(&job.model)->required()->value_name("FOLDER"),
                          "Hugging Face folder")(
        "data", po::value(&job.data)->required()->value_name("FOLDER"),
        "folder that `trireme prepare` wrote")(
        "split", po::value(&job.split)->default_value("test")->value_name("NAME"),
        "name of the split")(
        "tokens-per-micro-batch",
        po::value(&job.tokens_per_micro_batch)->default_value(2048)->value_name("N"),
        "upper limit of a packed micro-batch")(
        "set", po::value(&job.set)->composing()->value_name("KEY=VALUE"),
        "parallel.* and numerics.compute; may be repeated")(
        "predictions", po::value(&predictions)->value_name("FILE"),
        "file for one JSON line per sample; must not exist")("force", po::bool_switch(&force),
                                                             "replace the file of --predictions");
    if (!parse(options, arguments)) return 0;
    std::optional<cluster::OutputFile> file;
    // which writes it, and may alone see the folder
    if (!predictions.empty() && launcher_rank() <= 0) {
        cluster::refuse_input("--predictions", predictions, {job.model, job.data}, ".jsonl");
        job.predictions = &file.emplace("--predictions", predictions, existing(force));
    }
    return under_mpi([&](cluster::Communicator& world) {
        auto const found = framework::jobs::evaluate_model(job, world);
        auto line = found.metrics.to_json();
        line["compute"] = framework::config::name_of(found.compute);
        if (world.rank() == 0) cluster::print_text(line.dump() + "\n");
        return cluster::kDone;
    });
}

} // namespace trireme::launch
