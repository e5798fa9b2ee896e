// `trireme init`: the configuration of a first run, each value with its source.
#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "data/manifest.hpp"
#include "framework/config/config.hpp"
#include "framework/inputs/inputs.hpp"
#include "framework/planning/run_preview.hpp"
#include "framework/pretrained/families.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/tasks/task.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/starting_point.hpp"

namespace trireme::launch {

namespace po = boost::program_options;

namespace {

constexpr char const* kChat = "chat";   ///< its samples are those of generation
constexpr char const* kTrain = "train"; ///< name of the split, as data.train has it

struct InitRequest {
    std::string task, model, data, run, output;
    int ranks = 1;
    bool force = false;
};

data::TaskKind task_of(std::string const& name) {
    if (name == kChat) return data::TaskKind::generation;
    for (auto const& schema : data::task_schemas())
        if (name == schema.name) return schema.kind;
    throw cluster::InputError(
        fmt::format("TASK: {}: legal: {}, {}", cluster::one_line(name), data::task_names(), kChat));
}

/// The model with the head of the task, where its family has one.
KnownModel read_model(InitRequest const& r, data::TaskKind task) {
    auto model = framework::pretrained::read_hf_config(r.model);
    auto const own_head = model.head;
    model.head = framework::tasks::task_of(task).head();
    if (framework::pretrained::architecture_of(model).empty()) model.head = own_head;
    if (!r.data.empty()) model.labels = data::read_manifest(r.data).labels;
    return {framework::pretrained::entry_of(model.family).model_type, model.causal,
            framework::planning::parameters_of(model)};
}

KnownData read_data(std::string const& folder, InitRequest const& r, data::TaskKind task) {
    data::Manifest const manifest = data::read_manifest(folder);
    if (manifest.task != task)
        throw cluster::InputError(fmt::format("TASK: {}: legal: {}, for which the data in {} were "
                                              "prepared",
                                              r.task, data::schema_of(manifest.task).name, folder));
    auto const train = manifest.splits.find(kTrain);
    if (train == manifest.splits.end())
        throw cluster::InputError(fmt::format("--data: {} has no split \"{}\"; legal: data "
                                              "prepared with --input or --train",
                                              folder, kTrain));
    auto const& split = train->second;
    return {split.samples(), split.tokens(), split.longest(),
            manifest.splits.contains(data::Section{}.validation), split.label_counts};
}

Beginning beginning_of(InitRequest const& r) {
    Beginning b{.task = task_of(r.task), .called = r.task, .run = r.run, .ranks = r.ranks};
    if (r.ranks < 1)
        throw cluster::InputError(fmt::format("--ranks: {}: legal: a number >= 1", r.ranks));
    if (!r.model.empty()) {
        b.model = r.model;
        b.known_model = read_model(r, b.task);
    }
    if (!r.data.empty()) {
        b.data = r.data;
        b.known_data = read_data(r.data, r, b.task);
    }
    return b;
}

/// Refuses now what training would refuse of folders that were given.
void check_text(std::string const& text, InitRequest const& r) {
    auto const config = framework::config::parse_config(text, r.output, {});
    if (r.model.empty() || r.data.empty()) return;
    auto const inputs = framework::inputs::open_inputs(config);
    framework::inputs::check_start(config, inputs,
                                   framework::inputs::checkpoint_room(config, inputs));
}

/// Options that fill `r`, which must outlive them.
po::options_description init_options(InitRequest& r, std::string const& tasks) {
    po::options_description options(
        "trireme init TASK: a commented configuration for a first run, each value with its "
        "source\n\n"
        "  trireme init classification --model MODEL --data data-reviews --output first.yaml\n"
        "  trireme init chat\n\nOptions");
    auto const word = [](auto* to, char const* name) { return po::value(to)->value_name(name); };
    // clang-format off
    options.add_options()
        ("task", word(&r.task, "TASK")->required(), tasks.c_str())
        ("model", word(&r.model, "FOLDER"),
         "Hugging Face folder: its family and size decide learning rate, decay and layout")
        ("data", word(&r.data, "FOLDER"),
         "folder that `trireme prepare` wrote: its counts and lengths decide batch and epochs")
        ("run", word(&r.run, "FOLDER")->default_value("run"), "folder that the run will have")
        ("ranks", word(&r.ranks, "N")->default_value(1), "number of ranks to plan for")
        ("output", word(&r.output, "FILE"), "file to write; must not exist; default: TASK.yaml")
        ("force", po::bool_switch(&r.force), "replace the file of --output");
    // clang-format on
    return options;
}

} // namespace

int init_command(std::vector<std::string> const& arguments) {
    InitRequest r;
    std::string const tasks = data::task_names(" | ") + " | " + kChat;
    po::options_description options = init_options(r, tasks);
    if (!parse(options, arguments, "task")) return 0;
    Beginning const b = beginning_of(r);
    if (r.output.empty()) r.output = r.task + ".yaml";
    cluster::refuse_input("--output", r.output, {b.model, b.data}, ".yaml");
    cluster::OutputFile file("--output", r.output, existing(r.force));
    std::string const text = to_yaml(b, starting_point(b));
    check_text(text, r);
    file.write(text);
    cluster::print_text(fmt::format("{}: written; look at it with: trireme train {} --dry-run\n",
                                    r.output, r.output));
    return cluster::kDone;
}

} // namespace trireme::launch
