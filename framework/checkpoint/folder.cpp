#include "framework/checkpoint/folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/fault.hpp"
#include "cluster/file.hpp"
#include "framework/checkpoint/writer.hpp"

namespace trireme::framework::checkpoint {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPartial = ".partial", kRemoved = ".removed";

/// Turns exceptions of std::filesystem into ours.
template <typename Action>
void checked(Action const& action) {
    try {
        action();
    } catch (fs::filesystem_error const& error) {
        throw cluster::JobError(error.path1().string() + ": " +
                                cluster::reason_of(error.code().value()));
    }
}

/// The name goes first: what is half removed is no checkpoint.
void discard(fs::path const& path) {
    fs::path const removed = path.string() + std::string(kRemoved);
    fs::remove_all(removed);
    fs::rename(path, removed);
    fs::remove_all(removed);
}

} // namespace

std::vector<std::string> surplus(std::vector<std::string> const& names, std::int64_t step,
                                 std::int64_t best_step, KeepRules const& rules) {
    std::vector<std::string> out;
    int newest = 0;
    for (auto const& name : names) {
        std::int64_t const of = step_of(name);
        if (of > step) continue;
        bool const kept = newest++ < rules.last || (rules.best && of == best_step) ||
                          (rules.every > 0 && of > 0 && of % rules.every == 0);
        if (!kept) out.push_back(name);
    }
    return out;
}

void open_checkpoints(std::string const& folder) {
    checked([&] {
        fs::create_directories(folder);
        fs::path const run = fs::absolute(folder).parent_path();
        cluster::sync_path(run);
        cluster::sync_path(run.parent_path());
        std::vector<fs::path> leftovers;
        for (auto const& entry : fs::directory_iterator(folder)) {
            std::string const name = entry.path().filename().string();
            bool const replaced =
                run::is_checkpoint(run::without(name, run::kFormer)) &&
                fs::exists(fs::path(folder) / std::string(run::without(name, run::kFormer)));
            if (run::is_checkpoint(run::without(name, kPartial)) || name.ends_with(kRemoved) ||
                replaced)
                leftovers.push_back(entry.path());
        }
        for (auto const& path : leftovers) fs::remove_all(path);
    });
}

std::string staging_path(std::string const& folder, std::int64_t step) {
    return folder + "/" + checkpoint_name(step) + std::string(kPartial);
}

/// The names of a checkpoint on its way: while it is written, when it is whole, and that of the one
/// of the same step which it replaces.
struct Names {
    std::string staging, final, former;
};

static void put_in_place(Names const& names, std::string const& folder, Manifest manifest) {
    manifest.files.push_back(write_virtual_file(names.staging, manifest.tensors));
    cluster::fault_point("save/manifest");
    // syncs the folder too: what can fail for want of room comes before ...
    write_manifest(names.staging, manifest);
    cluster::fault_point("save/rename");
    if (fs::exists(names.final)) { // ... the one of the same step is touched
        fs::remove_all(names.former);
        fs::rename(names.final, names.former);
    }
    fs::rename(names.staging, names.final);
    cluster::sync_path(folder);
    cluster::fault_point("save/renamed");
}

void commit(std::string const& folder, std::int64_t step, Manifest manifest) {
    std::string const whole = folder + "/" + checkpoint_name(step);
    Names const names{staging_path(folder, step), whole, whole + std::string(run::kFormer)};
    std::error_code ignored;
    try {
        checked([&] { put_in_place(names, folder, std::move(manifest)); });
    } catch (...) {
        fs::remove_all(names.staging, ignored);
        if (!fs::exists(names.final, ignored) && fs::exists(names.former, ignored))
            fs::rename(names.former, names.final, ignored);
        throw;
    }
    // a former one that stays harms nobody: open_checkpoints removes it
    fs::remove_all(names.former, ignored);
}

void renew_state(std::string const& folder, std::int64_t step, nlohmann::json state) {
    std::string const path = folder + "/" + checkpoint_name(step);
    Manifest manifest = read_manifest(path);
    manifest.state = std::move(state);
    write_manifest(path, manifest);
}

void remove_surplus(std::string const& folder, std::int64_t step, std::int64_t best_step,
                    KeepRules const& rules) {
    checked([&] {
        for (auto const& name : surplus(list_checkpoints(folder), step, best_step, rules)) {
            cluster::fault_point("save/remove");
            discard(folder + "/" + name);
        }
    });
}

} // namespace trireme::framework::checkpoint
