#include "framework/trainer.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "framework/evaluation_job.hpp"
#include "framework/parity/certificate.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

int train_command(std::vector<std::string> const& arguments) {
    std::string file, certificate;
    std::vector<std::string> set;
    po::options_description options(
        "trireme train CONFIG: fine-tune, or continue the run of that folder\n\n"
        "  mpirun -n 2 trireme train configs/reviews.yaml --set optimizer.learning_rate=5e-5\n\nOptions");
    options.add_options()("config", po::value(&file)->required(), "the run, as YAML")(
        "set", po::value(&set)->composing(), "KEY=VALUE over the file's value; may be repeated")(
        "parity", po::value(&certificate),
        "certificate of `trireme parity --out` to keep in the run folder; refused if it did not pass or is of another "
        "shape of model");
    if (!parse(options, arguments, "config")) return 0;
    return under_mpi([&](cluster::Communicator& world) {
        framework::Config const config = framework::read_config(file, set);
        if (!certificate.empty() && world.rank() == 0) framework::parity::attach_certificate(certificate, config);
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
