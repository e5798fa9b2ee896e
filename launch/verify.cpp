#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/process.hpp"
#include "framework/jobs/verify.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

/// Every rank returns the same code, so that no job launcher sees a rank leave the others behind.
int report(framework::verify::Replay const& replay, std::string const& model,
           cluster::Communicator& world) {
    for (auto const& line : replay.compared) fmt::print("{}\n", line);
    if (world.rank() == 0 && replay.differences.empty())
        fmt::print("verified: {} computes what it did\n", model);
    if (!replay.differences.empty())
        cluster::say("trireme: {}: not as exported: {}\n", model,
                     fmt::join(replay.differences, "; "));
    std::int64_t differences = static_cast<std::int64_t>(replay.differences.size());
    world
        .all_reduce({&differences, 1, cluster::DType::i64}, cluster::ReduceOp::max,
                    "verify/verdict")
        .wait();
    return differences ? cluster::kFailed : cluster::kDone;
}

constexpr char const* kVerifyHelp =
    "trireme verify MODEL: logits, loss and gradients of the training path as HDF5, in any "
    "layout; or, without "
    "--tokens, whether an exported folder still computes what it did when it was exported\n\n"
    "  trireme verify exported\n"
    "  mpirun -n 2 trireme verify MODEL --tokens tokens.json --out numerics.h5 --set "
    "numerics.compute=fp64\n\n"
    "  tokens.json: {\"input_ids\": [[5, 9, 2], [7, 3]], \"labels\": [[5, 9, 2], [7, 3]]}, "
    "labels unshifted, -100 "
    "ignored;\n  one label per sequence for a classifier: \"labels\": [0, 2]\n"
    "  numerics.h5: logits, offsets (language models), loss, grad/NAME by Hugging Face "
    "name\n\nOptions";

/// Options that fill `job`, which must outlive them.
po::options_description verify_options(framework::jobs::VerifyJob& job) {
    po::options_description options(kVerifyHelp);
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    // clang-format off
    options.add_options()
        ("model", po::value(&job.model)->required(), "Hugging Face folder")
        ("tokens", word(&job.tokens, "FILE"), "JSON file of token ids and labels")
        ("out", word(&job.output, "FILE"), "HDF5 file to make, with --tokens; must not exist")
        ("force", po::bool_switch(&job.force), "replace the file of --out")
        ("set", word(&job.set, "KEY=VALUE")->composing(),
         "KEY=VALUE of a run configuration: parallel.*, numerics.*, batch.tokens_per_micro_batch; "
         "may be repeated");
    // clang-format on
    return options;
}

} // namespace

int verify_command(std::vector<std::string> const& arguments) {
    framework::jobs::VerifyJob job;
    po::options_description options = verify_options(job);
    if (!parse(options, arguments, "model")) return 0;
    if (job.tokens.empty() != job.output.empty())
        throw cluster::InputError(
            "verify: --tokens FILE.json and --out FILE.h5 go together; see --help");
    return under_mpi([&](cluster::Communicator& world) {
        if (job.tokens.empty())
            return report(framework::jobs::replay_fingerprint(job, world), job.model, world);
        double const loss = framework::jobs::write_numerics(job, world);
        if (world.rank() == 0) fmt::print("{}: loss {:.6f}\n", job.output, loss);
        return static_cast<int>(cluster::kDone);
    });
}

} // namespace trireme::launch
