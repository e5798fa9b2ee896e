#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/interruption.hpp"
#include "cluster/nearest.hpp"
#include "framework/checkpoint/compare.hpp"
#include "framework/checkpoint/folder.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/config/config.hpp"
#include "framework/jobs/export.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

int export_command(std::vector<std::string> const& arguments) {
    std::string run, output, which, dtype;
    po::options_description options("trireme export --run RUN --output FOLDER: a checkpoint of a "
                                    "run as a Hugging Face folder\n\n  trireme "
                                    "export --run runs/reviews --output exported\n\nOptions");
    options.add_options()("run", po::value(&run)->required()->value_name("RUN"), "run folder")(
        "output", po::value(&output)->required()->value_name("FOLDER"),
        "folder to make; must not exist")(
        "checkpoint", po::value(&which)->default_value("best")->value_name("NAME"),
        "best | latest | average-K, the mean of the weights of the K newest | ema, the moving "
        "average of optimizer.ema_decay in the newest | a name that "
        "`trireme checkpoint list` shows")(
        "dtype", po::value(&dtype)->default_value("auto")->value_name("TYPE"),
        "auto: each tensor as the model came | fp32 | bf16 | fp16");
    if (!parse(options, arguments)) return 0;
    cluster::RemovalAtSignal const tidy;
    std::string const name = framework::jobs::export_checkpoint(run, which, output, dtype);
    fmt::print("exported {} of {} to {}\n", name, run, output);
    return 0;
}

namespace {

std::string folder_of(std::string const& run) {
    return run + "/checkpoints";
}

/// The checkpoints of a run, newest first; there is one.
std::vector<std::string> checkpoints_of(std::string const& run) {
    auto const names = framework::checkpoint::list_checkpoints(folder_of(run));
    if (names.empty())
        throw cluster::InputError(folder_of(run) +
                                  ": no checkpoints; legal: the folder of a run that saved one");
    return names;
}

/// Rules by which checkpoints stay, and the step of the best.
struct Kept {
    framework::run::CheckpointSection rules;
    std::int64_t best_step;
};

/// Takes both from the newest checkpoint that can be read: it knows which one is the best.
Kept kept_by(framework::checkpoint::RunState const& newest, std::string const& name) {
    return {framework::config::parse_config(newest.config, name + "/config", {}).checkpoint,
            newest.progress.best_step};
}

/// Why the rules let a checkpoint stay: "last, best".
std::string reasons(std::vector<std::string> const& names, std::string const& name,
                    Kept const& kept) {
    auto const& rules = kept.rules;
    std::vector<std::string> why;
    std::int64_t const step = framework::checkpoint::step_of(name);
    auto const place = std::ranges::find(names, name) - names.begin();
    if (place < rules.keep_last) why.emplace_back("last");
    if (rules.keep_best && step == kept.best_step) why.emplace_back("best");
    if (rules.keep_every > 0 && step % rules.keep_every == 0)
        why.push_back(fmt::format("multiple of {}", rules.keep_every));
    return fmt::format("{}", fmt::join(why, ", "));
}

/// Describes a checkpoint on one line. `kept`: why it is.
std::string line_of(framework::checkpoint::Reader const& reader, std::string const& name,
                    framework::checkpoint::RunState const& state, std::string const& kept) {
    std::int64_t bytes = 0;
    for (auto const& f : reader.manifest().files) bytes += f.bytes;
    return fmt::format("{}  step {}  {}  {:.1f} MB  {}  {}  kept: {}{}", name, state.progress.step,
                       cluster::counted(reader.manifest().tensors.size(), "tensor"),
                       static_cast<double>(bytes) * 1e-6, state.saved_at,
                       cluster::counted(state.ranks, "rank"), kept,
                       state.progress.finished ? "  finished" : "");
}

/// Prints a line for each checkpoint. Returns whether all are sound.
bool list(std::string const& run, bool verify) {
    auto const names = checkpoints_of(run);
    std::optional<Kept> kept;
    bool sound = true;
    for (auto const& name : names) try {
            framework::checkpoint::Reader const reader(folder_of(run) + "/" + name);
            if (verify) reader.verify();
            auto const state = framework::checkpoint::read_run_state(reader.manifest(), name);
            if (!kept) kept = kept_by(state, name);
            fmt::print("{}{}\n", line_of(reader, name, state, reasons(names, name, *kept)),
                       verify ? "  ok" : "");
        } catch (std::exception const& error) {
            fmt::print("{}  BAD: {}\n", name, cluster::line_of(error));
            sound = false;
        }
    return sound;
}

/// The folder of a checkpoint, or the newest one of a run.
std::string checkpoint_at(std::string const& path) {
    if (cluster::is_there(path + "/manifest.json")) return path;
    return folder_of(path) + "/" + checkpoints_of(path).front();
}

/// Prints what differs; whether nothing does.
bool diff(std::string const& first, std::string const& second) {
    std::string const a = checkpoint_at(first), b = checkpoint_at(second);
    auto const all = framework::checkpoint::compare(framework::checkpoint::Reader(a),
                                                    framework::checkpoint::Reader(b));
    fmt::print("first:  {}\nsecond: {}\n", a, b);
    for (auto const& line : all.state) fmt::print("{}\n", line);
    for (auto const& t : all.tensors)
        if (t.what.empty())
            fmt::print("{}: {} of {} elements differ, by at most {:.3g}; norm of the difference / "
                       "norm: {:.3g}\n",
                       t.tensor, t.unequal, t.elements, t.largest, t.relative);
        else
            fmt::print("{}: {}\n", t.tensor, t.what);
    fmt::print("{} tensors are equal bit by bit, {} are not\n", all.equal_tensors,
               all.tensors.size());
    return all.none();
}

} // namespace

static constexpr char const* kHelp =
    "trireme checkpoint list|verify|diff: what a run saved, whether every byte of it is what "
    "was written, and what "
    "differs between two checkpoints (exit code 1 if anything does)\n\n"
    "  trireme checkpoint verify --run runs/reviews\n"
    "  trireme checkpoint diff runs/reviews runs/again\n"
    "  trireme checkpoint diff runs/reviews/checkpoints/step-000000{100,200}\n\nOptions";

static void check_words(std::vector<std::string> const& words) {
    std::string const& action = words.front();
    if (action != "list" && action != "verify" && action != "diff")
        throw cluster::InputError(
            fmt::format("{}: no such action{} legal: list, verify, diff", action,
                        cluster::suggestion(action, {"list", "verify", "diff"})));
    if (words.size() != (action == "diff" ? 3U : 1U))
        throw cluster::InputError(
            fmt::format("checkpoint {}: legal: {}", fmt::join(words, " "),
                        action == "diff" ? "diff A B" : action + " --run RUN"));
}

int checkpoint_command(std::vector<std::string> const& arguments) {
    std::vector<std::string> words;
    std::string run;
    po::options_description options(kHelp);
    options.add_options()(
        "action", po::value(&words)->required(),
        "list | verify | diff A B, each the folder of a checkpoint, or of a run for its newest")(
        "run", po::value(&run)->value_name("RUN"), "run folder, for list and verify");
    if (!parse(options, arguments, "action", 3)) return 0;
    check_words(words);
    std::string const& action = words.front();
    if (action == "diff") return diff(words[1], words[2]) ? cluster::kDone : cluster::kFailed;
    if (run.empty()) throw cluster::InputError("--run: missing; legal: run folder");
    return list(run, action == "verify") ? cluster::kDone : cluster::kFailed;
}

} // namespace trireme::launch
