#include "framework/jobs/export.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/listing.hpp"
#include "cluster/path.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/inputs/model_config.hpp"
#include "framework/jobs/model_card.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/pretrained/weights.hpp"
#include "framework/train/run_checkpoints.hpp"
#include "framework/verify/fingerprint.hpp"

namespace trireme::framework::jobs {

namespace {

constexpr char const *kEma = "ema", *kAverage = "average"; ///< as users say, as checkpoints do

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

/// Returns the best of the checkpoints `names`, of which the newest says which one it is.
std::string best_of(std::string const& folder, std::vector<std::string> const& names) {
    std::string const& newest = names.front();
    auto const progress = read_sound(folder, newest, [&] {
        return checkpoint::read_run_state(checkpoint::read_manifest(folder + "/" + newest), newest)
            .progress;
    });
    if (progress.best_step < 0) return newest; // it was never evaluated
    for (auto const& name : names)
        if (checkpoint::step_of(name) == progress.best_step) return name;
    throw cluster::InputError(
        fmt::format("{}: the best step {} was not kept (checkpoint.keep_best: false?); legal: "
                    "--checkpoint latest",
                    folder, progress.best_step));
}

/// Returns K of "average-K"; 0 for any other text, and for more than there are.
std::size_t averaged(std::string const& which, std::size_t most) {
    constexpr std::string_view kPrefix = "average-";
    if (!which.starts_with(kPrefix)) return 0;
    std::size_t count = 0;
    char const *const first = which.data() + kPrefix.size(), *const end =
                                                                 which.data() + which.size();
    auto const [at, error] = std::from_chars(first, end, count);
    return error == std::errc() && at == end && count >= 2 && count <= most ? count : 0;
}

/// Does the checkpoint hold a moving average of the weights?
bool has_average(std::string const& folder, std::string const& name) {
    auto const manifest =
        read_sound(folder, name, [&] { return checkpoint::read_manifest(folder + "/" + name); });
    return std::ranges::any_of(manifest.tensors,
                               [](auto const& tensor) { return tensor.kind == kAverage; });
}

/// Names the checkpoints whose weights, or whose mean, are exported.
std::vector<std::string> choose(std::string const& folder, std::string const& which) {
    auto const names = checkpoint::list_checkpoints(folder);
    if (names.empty())
        throw cluster::InputError(folder +
                                  ": no checkpoints; legal: the folder of a run that saved one");
    if (which == "latest") return {names.front()};
    if (which == kEma && has_average(folder, names.front())) return {names.front()};
    if (which == "best") return {best_of(folder, names)};
    if (auto const count = averaged(which, names.size()); count > 0)
        return {names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count)};
    if (std::ranges::find(names, which) == names.end())
        throw cluster::InputError(fmt::format(
            "--checkpoint: {}: legal: best, latest, {}{}{}; all in {}", which,
            which == kEma ? "ema of a run with optimizer.ema_decay, " : "",
            names.size() > 1 ? fmt::format("average-K of the 2 to {} newest, ", names.size()) : "",
            fmt::join(names, ", "), folder));
    return {which};
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

/// Opens a checkpoint that has the parameters of the model.
std::unique_ptr<checkpoint::Reader>
open_checkpoint(std::string const& folder, std::string const& name, model::Config const& model) {
    std::string const path = folder + "/" + name;
    auto opened =
        read_sound(folder, name, [&] { return std::make_unique<checkpoint::Reader>(path); });
    check_same_parameters(opened->manifest(), model, path);
    return opened;
}

/// Frozen parameters have no average: it would be what they are.
at::Tensor read_weight(checkpoint::Reader const& reader, std::string const& parameter,
                       bool average) {
    auto const* moving = average ? reader.manifest().find(kAverage, parameter) : nullptr;
    auto const& tensor = moving ? *moving : *reader.manifest().find("weight", parameter);
    at::Tensor const out =
        at::empty(tensor.shape, tensor.dtype == "f64" ? at::kDouble : at::kFloat);
    reader.read(tensor, 0, out.numel(), out.mutable_data_ptr());
    return out;
}

/// Weights of a checkpoint, their moving average, or the mean of those of several.
class ChosenWeights {
  public:
    ChosenWeights(std::string folder, std::vector<std::string> names, model::Config const& model,
                  bool average)
        : folder_(std::move(folder)), names_(std::move(names)), average_(average) {
        for (auto const& name : names_) readers_.push_back(open_checkpoint(folder_, name, model));
    }
    /// The mean is taken in float64 and rounded once, so that no order of checkpoints shows.
    at::Tensor of(std::string const& parameter) const {
        if (readers_.size() == 1) return read(0, parameter);
        at::Tensor sum = read(0, parameter).to(at::kDouble);
        for (std::size_t i = 1; i < readers_.size(); ++i) sum += read(i, parameter);
        sum /= static_cast<double>(readers_.size());
        return is_double(0, parameter) ? sum : sum.to(at::kFloat);
    }
    std::string name() const {
        if (average_) return fmt::format("the moving average at {}", names_.front());
        return names_.size() == 1 ? names_.front()
                                  : fmt::format("the mean of {}", fmt::join(names_, ", "));
    }

  private:
    bool is_double(std::size_t i, std::string const& parameter) const {
        return readers_[i]->manifest().find("weight", parameter)->dtype == "f64";
    }
    at::Tensor read(std::size_t i, std::string const& parameter) const {
        return read_sound(folder_, names_[i],
                          [&] { return read_weight(*readers_[i], parameter, average_); });
    }

    std::string folder_;
    std::vector<std::string> names_;
    bool average_;
    std::vector<std::unique_ptr<checkpoint::Reader>> readers_;
};

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

config::Config config_of_run(std::string const& run) {
    if (!cluster::is_folder(run))
        throw cluster::InputError(run + ": no such folder" + cluster::current_folder_of(run) +
                                  "; legal: the run folder of a `trireme train`");
    return config::read_config(run + "/config.yaml", {});
}

} // namespace

std::string export_checkpoint(std::string const& run, std::string const& which,
                              std::string const& output, std::string const& dtype) {
    cluster::check_new_folder("--output", output);
    // Equal checkpoints make equal folders, whatever cores a launcher left this process: the
    // fingerprint is computed.
    parallelize::configure_numerics({.mode = parallelize::NumericsMode::bitwise, .threads = 1}, 1);
    config::Config config = config_of_run(run);
    std::string const folder = run + "/checkpoints";
    auto const names = choose(folder, which);
    pretrained::RunSource const source = source_of(run, config);
    CardFacts card{.config = config, .labels = std::ssize(source.labels)};
    config.model.path = config.data.path = source.folder;
    model::Config model = inputs::read_model_config(config, source.labels);
    model.vocabulary = std::max(model.vocabulary, source.vocabulary);
    bool const average = which == kEma;
    ChosenWeights const weights(folder, names, model, average);
    auto const values = [&](std::string const& parameter) { return weights.of(parameter); };
    card.checkpoint = weights.name();
    if (names.size() == 1 && !average)
        card.evaluation = evaluation_at(run, checkpoint::step_of(names.front()));
    auto const finally = [&](std::string const& staging) {
        verify::write_fingerprint(model, values, staging);
        cluster::write_file(staging + "/README.md", model_card(card));
    };
    pretrained::export_model(model, values, output,
                             {.dtype = dtype,
                              .dtypes = source.dtypes,
                              .files_from = {source.folder},
                              .finally = finally});
    return weights.name();
}

} // namespace trireme::framework::jobs
