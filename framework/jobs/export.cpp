#include "framework/jobs/export.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/listing.hpp"
#include "cluster/path.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/train/run_checkpoints.hpp"
#include "framework/verify/fingerprint.hpp"

namespace trireme::framework::jobs {

namespace {

/// Names the checkpoints that can be exported instead of `damaged`, as the end of a refusal.
std::string way_on(std::string const& folder, std::string const& damaged) {
    std::vector<std::string> sound;
    for (auto const& name : checkpoint::list_checkpoints(folder)) try {
            if (name == damaged) continue;
            checkpoint::Reader const reader(folder + "/" + name);
            reader.verify();
            checkpoint::read_run_state(reader.manifest(), name);
            sound.push_back(name);
        } catch (cluster::InputError const&) {
            // This one is not sound either.
        }
    if (sound.empty()) return "; no checkpoint of the run is sound (`trireme checkpoint verify`)";
    return fmt::format("; legal: --checkpoint {}, which {} sound", fmt::join(sound, ", "),
                       sound.size() == 1 ? "is" : "are");
}

/// Returns what `read` returns. If it refuses checkpoint `name`, the message names the sound ones
/// as well.
template <typename Read>
auto read_sound(std::string const& folder, std::string const& name, Read const& read) {
    try {
        return read();
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(error.what() + way_on(folder, name));
    }
}

/// The progress in the newest one says which one was the best.
std::string choose(std::string const& folder, std::string const& which) {
    auto const names = checkpoint::list_checkpoints(folder);
    if (names.empty())
        throw cluster::InputError(folder +
                                  ": no checkpoints; legal: the folder of a run that saved one");
    if (which != "best" && which != "latest") {
        if (std::ranges::find(names, which) == names.end())
            throw cluster::InputError(
                fmt::format("--checkpoint: {}: legal: best, latest, {}; all in {}", which,
                            fmt::join(names, ", "), folder));
        return which;
    }
    if (which == "latest") return names.front();
    auto const progress = read_sound(folder, names.front(), [&] {
        return checkpoint::read_run_state(checkpoint::read_manifest(folder + "/" + names.front()),
                                          names.front())
            .progress;
    });
    if (progress.best_step < 0) return names.front(); // it was never evaluated
    for (auto const& name : names)
        if (checkpoint::step_of(name) == progress.best_step) return name;
    throw cluster::InputError(
        fmt::format("{}: the best step {} was not kept (checkpoint.keep_best: false?); legal: "
                    "--checkpoint latest",
                    folder, progress.best_step));
}

/// The checkpoint has the model's parameters, no more and no less.
void check_same_parameters(checkpoint::Manifest const& manifest, model::Config const& model,
                           std::string const& path) {
    std::set<std::string> known;
    for (auto const& spec : model::parameter_specs(model)) {
        auto const* tensor = manifest.find("weight", spec.name);
        if (!tensor || tensor->shape != spec.shape)
            throw cluster::InputError(
                fmt::format("{}: no tensor {} of the model's shape", path, spec.name));
        known.insert(spec.name);
    }
    for (auto const& tensor : manifest.tensors)
        if (tensor.kind == "weight" && !known.contains(tensor.name))
            throw cluster::InputError(
                fmt::format("{}: tensor {} has no place in the model", path, tensor.name));
}

pretrained::RunSource source_of(std::string const& run, config::Config const& config) {
    if (auto kept = pretrained::read_run_source(run)) return *kept;
    throw cluster::InputError(
        fmt::format("{}/source: missing: an older version, which kept neither labels nor tokenizer "
                    "in the run folder, made the run; "
                    "legal: a "
                    "run folder with it: `trireme train {}/config.yaml` writes it as soon as it "
                    "goes on with the run, if {} and {} are still there",
                    run, run, config.model.path, config.data.path));
}

} // namespace

std::string export_checkpoint(std::string const& run, std::string const& which,
                              std::string const& output, std::string const& dtype) {
    cluster::check_new_folder("--output", output);
    // Equal checkpoints make equal folders, whatever cores a launcher left this process: the
    // fingerprint is computed.
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise, .threads = 1}, 1);
    if (!cluster::is_folder(run))
        throw cluster::InputError(run + ": no such folder" + cluster::current_folder_of(run) +
                                  "; legal: the run folder of a `trireme train`");
    config::Config config = config::read_config(run + "/config.yaml", {});
    std::string const folder = run + "/checkpoints", name = choose(folder, which);
    pretrained::RunSource const source = source_of(run, config);
    config.model.path = config.data.path = source.folder;
    model::Config model = inputs::read_model_config(config, source.labels);
    model.vocabulary = std::max(model.vocabulary, source.vocabulary);
    auto const opened = read_sound(
        folder, name, [&] { return std::make_unique<checkpoint::Reader>(folder + "/" + name); });
    checkpoint::Reader const& reader = *opened;
    check_same_parameters(reader.manifest(), model, folder + "/" + name);
    auto const values = [&](std::string const& parameter) {
        auto const& tensor = *reader.manifest().find("weight", parameter);
        at::Tensor const out =
            at::empty(tensor.shape, tensor.dtype == "f64" ? at::kDouble : at::kFloat);
        return read_sound(folder, name, [&] {
            reader.read(tensor, 0, out.numel(), out.mutable_data_ptr());
            return out;
        });
    };
    pretrained::export_model(model, values, output,
                             {.dtype = dtype,
                              .dtypes = source.dtypes,
                              .files_from = {source.folder},
                              .finally = [&](std::string const& staging) {
                                  verify::write_fingerprint(model, values, staging);
                              }});
    return name;
}

} // namespace trireme::framework::jobs
