#include <fmt/format.h>

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/nearest.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/export_job.hpp"
#include "framework/run_checkpoints.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

int export_command(std::vector<std::string> const& arguments) {
    std::string run, output, which, dtype;
    po::options_description options(
        "trireme export --run RUN --output FOLDER: a checkpoint of a run as a Hugging Face folder\n\n  trireme "
        "export --run runs/reviews --output exported\n\nOptions");
    options.add_options()("run", po::value(&run)->required()->value_name("RUN"), "run folder")(
        "output", po::value(&output)->required()->value_name("FOLDER"),
        "folder to make; must not exist")("checkpoint", po::value(&which)->default_value("best")->value_name("NAME"),
                                          "best | latest | a name that `trireme checkpoint list` shows")(
        "dtype", po::value(&dtype)->default_value("auto")->value_name("TYPE"),
        "auto: each tensor as the model came | fp32 | bf16 | fp16");
    if (!parse(options, arguments)) return 0;
    std::string const name = framework::export_checkpoint(run, which, output, dtype);
    fmt::print("exported {} of {} to {}\n", name, run, output);
    return 0;
}

int checkpoint_command(std::vector<std::string> const& arguments) {
    std::string action, run;
    po::options_description options("trireme checkpoint list|verify --run RUN: what a run saved, and whether every "
                                    "byte of it is what was written\n\n"
                                    "  trireme checkpoint verify --run runs/reviews\n\nOptions");
    options.add_options()("action", po::value(&action)->required(),
                          "list | verify")("run", po::value(&run)->required()->value_name("RUN"), "run folder");
    if (!parse(options, arguments, "action")) return 0;
    if (action != "list" && action != "verify")
        throw cluster::InputError(fmt::format("{}: no such action; did you mean {}? legal: list, verify", action,
                                              cluster::nearest(action, {"list", "verify"})));
    std::string const folder = run + "/checkpoints";
    auto const names = framework::list_checkpoints(folder);
    if (names.empty())
        throw cluster::InputError(folder + ": no checkpoints; legal: the folder of a run that saved one");
    int bad = 0;
    std::int64_t best = -2; // as the newest one knows it
    for (auto const& name : names) {
        try {
            framework::CheckpointReader const reader(folder + "/" + name);
            if (action == "verify") reader.verify();
            std::int64_t bytes = 0;
            for (auto const& f : reader.manifest().files) bytes += f.bytes;
            auto const progress = framework::RunProgress::from_json(reader.manifest().state.at("progress"));
            if (best == -2) best = progress.best_step;
            fmt::print("{}  step {}  {} tensors  {:.1f} MB{}{}{}\n", name, progress.step,
                       reader.manifest().tensors.size(), static_cast<double>(bytes) * 1e-6,
                       progress.step == best ? "  best" : "", progress.finished ? "  finished" : "",
                       action == "verify" ? "  ok" : "");
        } catch (std::exception const& error) {
            fmt::print("{}  BAD: {}\n", name, cluster::line_of(error));
            ++bad;
        }
    }
    return bad ? cluster::kFailed : cluster::kDone;
}

} // namespace trireme::launch
