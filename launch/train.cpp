#include "framework/trainer.hpp"

#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <thread>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/mpi_communicator.hpp"
#include "framework/evaluation_job.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

/// Runs `body` under MPI. What one rank throws ends all ranks: bad input, which every rank sees, in order; anything
/// else by an abort, since the others may wait in a collective.
int under_mpi(std::function<int(cluster::Communicator& world)> const& body) {
    int argc = 0;
    char** argv = nullptr;
    cluster::Environment const environment(argc, argv);
    auto const world = cluster::make_mpi_world({});
    try {
        return body(*world);
    } catch (cluster::InputError const& error) {
        if (world->size() == 1) throw;
        // As a rule every rank finds the same fault: the first speaks for all, and another only if it is alone with it.
        if (world->rank() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
        world->abort(cluster::line_of(error), cluster::kBadInput);
    } catch (std::exception const& error) {
        if (world->size() == 1) throw;
        world->abort(cluster::line_of(error), cluster::kFailed);
    }
}

} // namespace

int train_command(std::vector<std::string> const& arguments) {
    std::string file;
    std::vector<std::string> set;
    po::options_description options(
        "trireme train CONFIG: fine-tune, or continue the run of that folder\n\n"
        "  mpirun -n 2 trireme train configs/reviews.yaml --set optimizer.learning_rate=5e-5\n\nOptions");
    options.add_options()("config", po::value(&file)->required(), "the run, as YAML")(
        "set", po::value(&set)->composing(), "KEY=VALUE over the file's value; may be repeated");
    if (!parse(options, arguments, "config")) return 0;
    return under_mpi([&](cluster::Communicator& world) {
        framework::Config const config = framework::read_config(file, set);
        auto const outcome = framework::train(config, world);
        if (world.rank() == 0 && outcome.exit_code == cluster::kDone)
            fmt::print("done: {} steps, weights sha256 {}\nrun folder: {}\n", outcome.steps, outcome.weights_sha256,
                       config.run);
        return outcome.exit_code;
    });
}

int evaluate_command(std::vector<std::string> const& arguments) {
    framework::EvaluationJob job;
    po::options_description options(
        "trireme evaluate: exact metrics of a model on a split, the same for any rank count\n\n"
        "  mpirun -n 2 trireme evaluate --model exported --data data-reviews --split test\n\nOptions");
    options.add_options()("model", po::value(&job.model)->required(), "Hugging Face folder")(
        "data", po::value(&job.data)->required(), "folder that `trireme prepare` wrote")(
        "split", po::value(&job.split)->default_value("test"), "name of the split")(
        "tokens-per-slot", po::value(&job.tokens_per_slot)->default_value(2048), "upper limit of a packed micro-batch")(
        "predictions", po::value(&job.predictions), "file for one JSON line per sample");
    if (!parse(options, arguments)) return 0;
    return under_mpi([&](cluster::Communicator& world) {
        auto const metrics = framework::evaluate_model(job, world);
        if (world.rank() == 0) fmt::print("{}\n", metrics.to_json().dump());
        return cluster::kDone;
    });
}

} // namespace trireme::launch
