#include "framework/inputs/staged_data.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/topology.hpp"
#include "data/staging.hpp"

namespace trireme::framework::inputs {

namespace {

/// Splits that the run reads, by folder.
std::map<std::string, std::set<std::string>> splits_of(config::Config const& config) {
    auto const& section = config.data;
    std::map<std::string, std::set<std::string>> splits{{section.path, {section.validation}}};
    for (auto const& source : section.train.sources)
        splits[data::path_of(source, section)].insert(source.split);
    if (section.train.sources.empty()) splits[section.path].insert(section.train.split);
    return splits;
}

/// Does `work` where `mine`, and throws on every rank what failed on one.
template <typename Work>
void together(cluster::Communicator& world, bool mine, Work const& work) {
    std::string trouble;
    if (mine) try {
            work();
        } catch (cluster::InputError const& error) {
            trouble = "i" + cluster::line_of(error);
        } catch (std::exception const& error) {
            trouble = "j" + cluster::line_of(error);
        }
    for (auto const& told : cluster::all_gather_bytes(world, trouble, "data/stage")) {
        if (told.starts_with('i')) throw cluster::InputError(told.substr(1));
        if (told.starts_with('j')) throw cluster::JobError(told.substr(1));
    }
}

/// Work of one rank a node on one folder.
struct Copies {
    std::unique_ptr<data::StagingLock> lock;
    std::vector<bool> present; ///< by file
};

Copies look(std::vector<data::StagedFile> const& files) {
    auto const folder = std::filesystem::path(files.front().to).parent_path().string();
    Copies copies{std::make_unique<data::StagingLock>(folder), {}};
    std::vector<data::StagedFile> missing;
    for (auto const& file : files) {
        copies.present.push_back(data::is_staged(file));
        if (!copies.present.back()) missing.push_back(file);
    }
    if (auto const refusal = data::staging_refusal(missing); !refusal.empty())
        throw cluster::InputError(refusal);
    return copies;
}

struct Done {
    std::int64_t copied = 0, kept = 0; ///< files
    std::int64_t bytes = 0;            ///< that were copied
};

/// One folder, file after file, so that each has the time of a deadline.
void stage_folder(std::vector<data::StagedFile> const& files, bool first_of_node,
                  cluster::Communicator& world, Done& done) {
    Copies copies;
    together(world, first_of_node, [&] { copies = look(files); });
    for (std::size_t f = 0; f < files.size(); ++f) {
        bool const missing = first_of_node && !copies.present[f];
        together(world, missing, [&] { data::stage(files[f]); });
        ++(missing ? done.copied : done.kept);
        done.bytes += missing ? files[f].bytes : 0;
    }
}

} // namespace

std::string stage_data(config::Config& config, cluster::Communicator& world) {
    std::string const& to = config.data.stage_to;
    if (to.empty()) return "";
    auto const start = std::chrono::steady_clock::now();
    bool const first_of_node = cluster::topology(world).local_rank == 0;
    Done done;
    for (auto const& [folder, splits] : splits_of(config)) {
        stage_folder(data::staged_files(folder, {splits.begin(), splits.end()}, to), first_of_node,
                     world, done);
        config.data.staged[folder] = data::staged_folder(folder, to);
    }
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - start;
    return fmt::format("{} of data copied to {} ({:.1f} MB in {:.1f} s), {} there already",
                       cluster::counted(done.copied, "file"), to,
                       static_cast<double>(done.bytes) * 1e-6, seconds.count(), done.kept);
}

void remove_staged(config::Config const& config, cluster::Communicator& world) {
    if (!config.data.remove_staged || config.data.staged.empty()) return;
    bool const first_of_node = cluster::topology(world).local_rank == 0; // all have come so far
    for (auto const& [folder, copy] : config.data.staged)
        if (first_of_node) data::StagingLock(copy).remove();
}

} // namespace trireme::framework::inputs
