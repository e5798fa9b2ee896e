#include "framework/train/run_checkpoints.hpp"

#include <H5public.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/version.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <limits>
#include <map>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/gather.hpp"
#include "cluster/host.hpp"
#include "cluster/host_memory.hpp"
#include "data/json.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/writer.hpp"

namespace trireme::framework::train {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Joins the pieces that all ranks wrote to whole tensors, in order of first appearance.
checkpoint::Manifest joined(std::vector<std::string> const& reports, json state) {
    checkpoint::Manifest manifest{.state = std::move(state)};
    std::map<std::pair<std::string, std::string>, std::size_t> place;
    for (auto const& text : reports) {
        json const report = data::parse_json("checkpoint/reports", text);
        for (auto const& j : report.at("tensors")) {
            checkpoint::Tensor tensor = checkpoint::tensor_from_json(j);
            auto const [found, added] =
                place.emplace(std::pair{tensor.kind, tensor.name}, manifest.tensors.size());
            if (added)
                manifest.tensors.push_back(std::move(tensor));
            else
                std::ranges::move(tensor.pieces,
                                  std::back_inserter(manifest.tensors[found->second].pieces));
        }
        manifest.files.push_back(checkpoint::file_from_json(report.at("file")));
    }
    return manifest;
}

/// Returns what a rank reports of its file: text for joined().
std::string report_of(checkpoint::RankFile const& written) {
    json tensors = json::array();
    for (auto const& t : written.tensors) tensors.push_back(checkpoint::to_json(t));
    return json{{"tensors", tensors}, {"file", checkpoint::to_json(written.file)}}.dump();
}

std::vector<double> losses_in(checkpoint::Reader const& reader) {
    auto const* history = reader.manifest().find("history", "loss");
    std::vector<double> losses(
        history ? static_cast<std::size_t>(storage::elements_of(history->shape)) : 0);
    if (history) reader.read(*history, 0, static_cast<std::int64_t>(losses.size()), losses.data());
    return losses;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void load_into(parallel::ParameterStore& store, checkpoint::Reader const& reader) {
    std::string const dtype = store.master_dtype() == at::kDouble ? "f64" : "f32";
    for (auto const* kind : weights::kStateKinds)
        for (auto& unit : store.units()) {
            at::Tensor const& flat = weights::flat_of(*unit, kind);
            if (!flat.defined()) continue;
            for (auto const& s : parallel::stretches(*unit, unit->begin, unit->end)) {
                auto const& spec = s.parameter->spec();
                auto const* tensor = reader.manifest().find(kind, spec.name);
                if (!tensor || tensor->shape != spec.shape || tensor->dtype != dtype)
                    throw cluster::InputError(fmt::format(
                        "tensor {}/{} is missing or of another shape or dtype", kind, spec.name));
                at::Tensor const values = flat.narrow(0, s.at - unit->begin, s.count);
                for (auto const& patch :
                     storage::patches_of(weights::block_of(*s.parameter), s.first, s.count)) {
                    at::Tensor const target =
                        weights::pick(*s.parameter, patch.local, s.first, values);
                    at::Tensor const read =
                        at::empty(target.sizes(), target.options().device(at::kCPU));
                    reader.read(*tensor, patch.global, read.mutable_data_ptr());
                    target.copy_(read);
                }
            }
        }
}

} // namespace

RunCheckpoints::RunCheckpoints(config::Config const& config, std::string data_fingerprint,
                               parallel::ParameterStore& store, cluster::Communicator& world)
    : folder_(config.run + "/checkpoints"), config_(config),
      data_fingerprint_(std::move(data_fingerprint)), store_(store), world_(world),
      group_(world.split(0, world.rank(), "checkpoint")) {}

RunCheckpoints::~RunCheckpoints() {
    abandoned_ = true;
}

std::optional<run::Progress>
RunCheckpoints::resume(std::function<void(std::string const&)> const& say) {
    drain();
    std::string listed;
    if (world_.rank() == 0)
        for (auto const& name : checkpoint::list_checkpoints(folder_)) listed += name + "\n";
    listed = cluster::broadcast_bytes(world_, listed, 0, "checkpoint/list");
    std::string newest_trouble;
    for (std::size_t at = 0, end; (end = listed.find('\n', at)) != std::string::npos;
         at = end + 1) {
        std::string const name = listed.substr(at, end - at);
        std::string trouble;
        checkpoint::RunState state;
        try {
            checkpoint::Reader const reader(folder_ + "/" + name);
            state = checkpoint::read_run_state(reader.manifest(), name);
            check_same_run(state, config_, data_fingerprint_);
            load_into(store_, reader);
            losses_ = losses_in(reader);
        } catch (WrongRun const&) {
            throw;
        } catch (std::exception const& error) {
            trouble = error.what();
        }
        // One rank that cannot read it is enough: all go on to the next older one together.
        for (auto const& reason : cluster::all_gather_bytes(world_, trouble, "checkpoint/loaded"))
            if (!reason.empty()) trouble = reason;
        if (trouble.empty()) {
            saved_step_ = state.progress.step;
            return state.progress;
        }
        if (newest_trouble.empty()) newest_trouble = trouble;
        say(fmt::format("checkpoint {} cannot be used ({}); trying the one before", name, trouble));
    }
    // To begin again would throw away what was computed, and in the end what could still be mended.
    if (!listed.empty())
        throw WrongRun(fmt::format(
            "{}: none of its checkpoints can be used (the newest: {}); mend or remove the "
            "folder, or choose another `run`",
            folder_, newest_trouble));
    return std::nullopt;
}

void RunCheckpoints::save(run::Progress const& progress, std::string why) {
    drain();
    started_ = std::chrono::steady_clock::now();
    current_ = {.step = progress.step, .why = std::move(why)};
    if (progress.step == saved_step_)
        renew(progress);
    else if (open_folder())
        start(progress);
    current_.stalled = seconds_since(started_);
    if (!async_) drain();
}

bool RunCheckpoints::open_folder() {
    if (opened_) return true;
    if (world_.rank() == 0) try {
            checkpoint::open_checkpoints(folder_);
        } catch (std::exception const& error) {
            newest_error_ = error.what();
        }
    newest_error_ = cluster::broadcast_bytes(world_, newest_error_, 0, "checkpoint/folder");
    opened_ = newest_error_.empty();
    if (!opened_) {
        current_.error = newest_error_;
        ended_.push_back(current_);
        return false;
    }
    async_ = config_.checkpoint.async && copies_fit();
    snapshot_.emplace(store_, async_);
    return true;
}

bool RunCheckpoints::copies_fit() {
    constexpr double kMost = 0.8; // share of what is left: training has its own ups and downs
    auto const short_of = cluster::host_short_of_memory(
        world_, weights::Snapshot::bytes_of_copies(store_), kMost, "checkpoint/copies");
    if (short_of)
        current_.note = fmt::format("checkpoint.async: the ranks of {} would copy {:.1f} GB, and "
                                    "{:.1f} GB of memory may be taken: "
                                    "every save is written at once, and training waits for it",
                                    short_of->host, static_cast<double>(short_of->wanted) * 1e-9,
                                    static_cast<double>(short_of->allowed) * 1e-9);
    return !short_of;
}

void RunCheckpoints::start(run::Progress const& progress) {
    ranges_ = snapshot_->take();
    saved_losses_ = losses_;
    if (auto const n = static_cast<std::int64_t>(saved_losses_.size()); n > 0 && world_.rank() == 0)
        ranges_.push_back(
            checkpoint::flat_range("history", "loss", "f64", {n}, {0, n, saved_losses_.data()}));
    std::string const staging = checkpoint::staging_path(folder_, progress.step);
    auto write = [this, staging] {
        cluster::fault_point("save/file");
        std::error_code error;
        if (fs::create_directories(staging, error); error)
            throw cluster::JobError(
                fmt::format("{}: cannot be made: {}", staging, cluster::reason_of(error.value())));
        checkpoint::RankFile const file = checkpoint::write_rank_file(
            staging, fmt::format("rank-{:05}.h5", world_.rank()), ranges_, abandoned_);
        cluster::fault_point("save/written");
        return report_of(file);
    };
    auto commit = [this, step = progress.step, best = progress.best_step,
                   state = state_of(progress)](std::vector<std::string> const& reports) {
        checkpoint::commit(folder_, step, joined(reports, state));
        checkpoint::remove_surplus(folder_, step, best, rules());
    };
    auto discard = [staging] {
        std::error_code ignored;
        fs::remove_all(staging, ignored);
    };
    pending_ = std::make_unique<checkpoint::PendingSave>(*group_, write, commit, discard);
}

void RunCheckpoints::renew(run::Progress const& progress) {
    auto commit = [this, step = progress.step, best = progress.best_step,
                   state = state_of(progress)](std::vector<std::string> const&) {
        checkpoint::renew_state(folder_, step, state);
        checkpoint::remove_surplus(folder_, step, best, rules());
    };
    pending_ = std::make_unique<checkpoint::PendingSave>(
        *group_, [] { return std::string(); }, commit, [] {});
}

std::optional<SaveReport> RunCheckpoints::poll() {
    if (pending_ && pending_->poll()) end_save();
    if (ended_.empty()) return std::nullopt;
    SaveReport report = std::move(ended_.front());
    ended_.pop_front();
    return report;
}

void RunCheckpoints::drain() {
    if (!pending_) return;
    auto const start = std::chrono::steady_clock::now();
    pending_->wait(
        std::chrono::milliseconds(static_cast<std::int64_t>(config_.guard.deadline * 1000)));
    current_.stalled += seconds_since(start);
    end_save();
}

void RunCheckpoints::end_save() {
    newest_error_ = current_.error = pending_->error();
    current_.seconds = seconds_since(started_);
    if (newest_error_.empty()) saved_step_ = current_.step;
    ended_.push_back(current_);
    pending_.reset();
}

void RunCheckpoints::finish() {
    drain();
    if (!newest_error_.empty()) throw cluster::JobError("checkpoint not saved: " + newest_error_);
}

void RunCheckpoints::note_loss(std::int64_t step, double loss) {
    losses_.resize(static_cast<std::size_t>(step), std::numeric_limits<double>::quiet_NaN());
    losses_.back() = loss;
}

checkpoint::KeepRules RunCheckpoints::rules() const {
    auto const& c = config_.checkpoint;
    return {.last = c.keep_last, .best = c.keep_best, .every = c.keep_every};
}

json RunCheckpoints::state_of(run::Progress const& progress) const {
    return {{"progress", progress.to_json()},
            {"trajectory", trajectory_yaml(config_)},
            {"config", config::to_yaml(config_)},
            {"data", data_fingerprint_},
            {"seed", config_.seed},
            {"ranks", world_.size()},
            {"saved_at", fmt::format("{:%FT%TZ}", fmt::gmtime(std::time(nullptr)))},
            {"versions",
             {{"trireme", TRIREME_VERSION},
              {"torch", TORCH_VERSION},
              {"hdf5", H5_VERS_INFO},
              {"compiler", __VERSION__}}}};
}

} // namespace trireme::framework::train
