#include "framework/run_checkpoints.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/version.h>

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/gather.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/writer.hpp"

namespace trireme::framework {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr char const* kKinds[] = {"weight", "moment1", "moment2"};

at::Tensor const& flat_of(parallel::Unit const& unit, std::string_view kind) {
    return kind == "weight" ? unit.master : kind == "moment1" ? unit.moment1 : unit.moment2;
}

LocalBlock block_of(parallel::Parameter const& p) {
    return {p.spec().shape, p.shape(), p.spec().cut.dim, p.slice().first, p.slice().real};
}

/// The elements of `local`, a rectangle of the parameter's slice, out of elements [first, first + values) of it.
at::Tensor pick(parallel::Parameter const& p, Rectangle const& local, std::int64_t first, at::Tensor const& values) {
    std::int64_t const width = p.shape().back(), rows = local.count.size() == 2 ? local.count[0] : 1,
                       row = local.count.size() == 2 ? local.start[0] : 0;
    return values.as_strided({rows, local.count.back()}, {width, 1},
                             values.storage_offset() + row * width + local.start.back() - first);
}

/// What this rank writes: its equal part of every flat buffer, tensor by tensor, unless another rank answers for it.
std::vector<OwnedRange> owned_ranges(parallel::ParameterStore const& store) {
    std::vector<OwnedRange> ranges;
    for (auto const* kind : kKinds)
        for (auto const& unit : store.units()) {
            at::Tensor const& flat = flat_of(*unit, kind);
            if (!flat.defined() || !unit->owned) continue;
            std::int64_t const part = unit->layout.part_size(), begin = store.options().place.part() * part;
            for (auto const& s : parallel::stretches(*unit, begin, begin + part)) {
                if (!s.parameter->counted()) continue;
                at::Tensor const values = flat.narrow(0, s.at - unit->begin, s.count);
                auto& range =
                    ranges.emplace_back(OwnedRange{kind, s.parameter->spec().name, s.parameter->spec().shape, {}});
                for (auto const& patch : patches_of(block_of(*s.parameter), s.first, s.count))
                    range.pieces.push_back(
                        {patch.global, pick(*s.parameter, patch.local, s.first, values).contiguous().flatten()});
            }
        }
    return ranges;
}

std::string folder_name(std::int64_t step) {
    return fmt::format("step-{:09}", step);
}

/// Joins the pieces that all ranks wrote to whole tensors, in order of first appearance.
CheckpointManifest join(std::vector<std::string> const& reports, json state) {
    CheckpointManifest manifest{.state = std::move(state)};
    std::map<std::pair<std::string, std::string>, std::size_t> place;
    for (auto const& text : reports) {
        json const report = json::parse(text);
        for (auto const& j : report.at("tensors")) {
            CheckpointTensor tensor = tensor_from_json(j);
            auto const [found, added] = place.emplace(std::pair{tensor.kind, tensor.name}, manifest.tensors.size());
            if (added)
                manifest.tensors.push_back(std::move(tensor));
            else
                std::ranges::move(tensor.pieces, std::back_inserter(manifest.tensors[found->second].pieces));
        }
        manifest.files.push_back(file_from_json(report.at("file")));
    }
    return manifest;
}

void load_into(parallel::ParameterStore& store, CheckpointReader const& reader) {
    std::string const dtype = store.master_dtype() == at::kDouble ? "f64" : "f32";
    for (auto const* kind : kKinds)
        for (auto& unit : store.units()) {
            at::Tensor const& flat = flat_of(*unit, kind);
            if (!flat.defined()) continue;
            for (auto const& s : parallel::stretches(*unit, unit->begin, unit->end)) {
                auto const& spec = s.parameter->spec();
                auto const* tensor = reader.manifest().find(kind, spec.name);
                if (!tensor || tensor->shape != spec.shape || tensor->dtype != dtype)
                    throw cluster::InputError(
                        fmt::format("tensor {}/{} is missing or of another shape or dtype", kind, spec.name));
                at::Tensor const values = flat.narrow(0, s.at - unit->begin, s.count);
                for (auto const& patch : patches_of(block_of(*s.parameter), s.first, s.count)) {
                    at::Tensor const target = pick(*s.parameter, patch.local, s.first, values);
                    at::Tensor const read = at::empty(target.sizes(), target.options());
                    reader.read(*tensor, patch.global, read.mutable_data_ptr());
                    target.copy_(read);
                }
            }
        }
}

} // namespace

std::string trajectory_yaml(Config config) {
    Config const defaults;
    config.run.clear();
    config.model.path.clear(); // matters for the first weights only, and folders move
    config.data.path.clear();  // the data's own fingerprint is compared
    config.parallel = defaults.parallel;
    config.numerics.threads = 0;
    config.evaluation = defaults.evaluation;
    config.checkpoint = defaults.checkpoint;
    config.guard = defaults.guard;
    config.job = defaults.job;
    return to_yaml(config);
}

std::vector<std::string> list_checkpoints(std::string const& folder) {
    std::vector<std::string> names;
    std::error_code none;
    for (auto const& entry : fs::directory_iterator(folder, none)) {
        std::string const name = entry.path().filename().string();
        bool const committed = name.starts_with("step-") &&
                               std::ranges::all_of(name.substr(5), [](char c) { return c >= '0' && c <= '9'; });
        if (entry.is_directory() && committed) names.push_back(name);
    }
    std::ranges::sort(names, std::greater{});
    return names;
}

RunCheckpoints::RunCheckpoints(Config const& config, std::string data_fingerprint, parallel::ParameterStore& store,
                               cluster::Communicator& world)
    : folder_(config.run + "/checkpoints"), config_(config), data_fingerprint_(std::move(data_fingerprint)),
      store_(store), world_(world) {}

std::optional<RunProgress> RunCheckpoints::resume(std::function<void(std::string const&)> const& say) {
    std::string listed;
    if (world_.rank() == 0)
        for (auto const& name : list_checkpoints(folder_)) listed += name + "\n";
    listed = cluster::broadcast_bytes(world_, listed, 0, "checkpoint/list");
    std::string newest_trouble;
    for (std::size_t at = 0, end; (end = listed.find('\n', at)) != std::string::npos; at = end + 1) {
        std::string const name = listed.substr(at, end - at);
        std::string trouble;
        std::optional<json> state;
        try {
            CheckpointReader const reader(folder_ + "/" + name);
            state = reader.manifest().state;
            check_same_run(*state);
            load_into(store_, reader);
        } catch (WrongRun const&) {
            throw;
        } catch (std::exception const& error) {
            trouble = error.what();
        }
        // One rank that cannot read it is enough: all go on to the next older one together.
        for (auto const& reason : cluster::all_gather_bytes(world_, trouble, "checkpoint/loaded"))
            if (!reason.empty()) trouble = reason;
        if (trouble.empty()) return RunProgress::from_json(state->at("progress"));
        if (newest_trouble.empty()) newest_trouble = trouble;
        say(fmt::format("checkpoint {} cannot be used ({}); trying the one before", name, trouble));
    }
    // To begin again would throw away what was computed, and in the end what could still be mended.
    if (!listed.empty())
        throw WrongRun(fmt::format("{}: none of its checkpoints can be used (the newest: {}); mend or remove the "
                                   "folder, or choose another `run`",
                                   folder_, newest_trouble));
    return std::nullopt;
}

void RunCheckpoints::check_same_run(json const& state) const {
    auto const changed = differences(state.at("trajectory").get<std::string>(), trajectory_yaml(config_));
    if (!changed.empty())
        throw WrongRun(
            fmt::format("{}: the run folder holds a run of another configuration ({}); choose another `run`, "
                        "or give back the old values (its configuration is in {}/config.yaml)",
                        config_.run, fmt::join(changed, ", "), config_.run));
    if (state.at("data") != data_fingerprint_)
        throw WrongRun(
            fmt::format("{}: the run was made with other data than {} holds now", config_.run, config_.data.path));
}

void RunCheckpoints::save(RunProgress const& progress) {
    std::string const final = folder_ + "/" + folder_name(progress.step), staging = final + ".partial";
    std::string report;
    if (world_.rank() == 0) {
        fs::remove_all(staging);
        fs::create_directories(staging);
    }
    world_.barrier("checkpoint/staging folder");
    try {
        RankFile const written =
            write_rank_file(staging, fmt::format("rank-{:05}.h5", world_.rank()), owned_ranges(store_));
        json tensors = json::array();
        for (auto const& t : written.tensors) tensors.push_back(to_json(t));
        report = json{{"tensors", tensors}, {"file", to_json(written.file)}}.dump();
    } catch (std::exception const& error) {
        report = json{{"error", error.what()}}.dump();
    }
    auto const reports = cluster::all_gather_bytes(world_, report, "checkpoint/reports");
    for (auto const& text : reports)
        if (json const j = json::parse(text); j.contains("error")) {
            std::error_code ignored;
            if (world_.rank() == 0) fs::remove_all(staging, ignored);
            throw cluster::JobError("checkpoint not saved: " + j.at("error").get<std::string>());
        }
    if (world_.rank() == 0) try {
            commit(join(reports, state_of(progress)), staging, final, progress);
        } catch (std::exception const& error) {
            std::error_code ignored;
            fs::remove_all(staging, ignored);
            throw cluster::JobError(std::string("checkpoint not saved: ") + error.what());
        }
    world_.barrier("checkpoint/committed");
}

json RunCheckpoints::state_of(RunProgress const& progress) const {
    return {{"progress", progress.to_json()}, {"trajectory", trajectory_yaml(config_)},
            {"config", to_yaml(config_)},     {"data", data_fingerprint_},
            {"seed", config_.seed},           {"versions", {{"trireme", "0.1.0"}, {"torch", TORCH_VERSION}}}};
}

void RunCheckpoints::commit(CheckpointManifest manifest, std::string const& staging, std::string const& final,
                            RunProgress const& progress) const {
    manifest.files.push_back(write_virtual_file(staging, manifest.tensors));
    write_manifest(staging, manifest);
    cluster::sync_path(staging); // what can fail for want of room comes before the old one is touched
    std::string const former = final + ".former";
    fs::remove_all(former);
    if (fs::exists(final)) fs::rename(final, former); // the same step saved again: with its evaluation, or as finished
    cluster::commit_file(staging, final);
    fs::remove_all(former);
    // Old ones go last: at every moment one valid checkpoint is there.
    int kept = 0;
    for (auto const& name : list_checkpoints(folder_)) {
        bool const best = config_.checkpoint.keep_best && name == folder_name(progress.best_step);
        if (kept++ >= config_.checkpoint.keep_last && !best) fs::remove_all(folder_ + "/" + name);
    }
}

} // namespace trireme::framework
