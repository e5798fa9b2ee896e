// Tests what a power loss leaves of a save, at every moment of it: the record of its calls is
// replayed on a model of a file system that keeps no more than it must, and what the disk then
// holds must be a sound checkpoint.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/fault/save_io_faults.hpp"
#include "tests/fault/save_scene.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using io::Call;

/// A file or a folder, as programs see it and as the disk has it for certain.
struct Node {
    using Entries = std::map<std::string, std::shared_ptr<Node>>;
    bool folder = false;
    std::string bytes, synced_bytes;
    Entries entries, synced_entries;
    struct Change { ///< of a folder, since its last sync
        std::string gone, made;
        std::shared_ptr<Node> node; ///< what has the name `made`
    };
    std::vector<Change> changes;
};
using NodePointer = std::shared_ptr<Node>;

/// How much more than what was synced a power loss leaves. POSIX allows all of these.
enum class Left { synced, names, names_and_half_the_bytes, removals, everything, some_names };
constexpr Left kLeft[] = {Left::synced,   Left::names,      Left::names_and_half_the_bytes,
                          Left::removals, Left::everything, Left::some_names};

class Disk {
  public:
    /// The folder `name` with what is below `content`, all of it safe.
    Disk(std::string const& content, std::string name) : folder_(std::move(name)) {
        root_->folder = true;
        load(content, *root_);
    }

    void apply(io::Event const& e) {
        switch (e.call) {
        case Call::open: return open(e);
        case Call::write: {
            std::string& bytes = open_.at(e.descriptor)->bytes;
            auto const end = static_cast<std::size_t>(e.offset) + e.bytes.size();
            if (bytes.size() < end) bytes.resize(end);
            bytes.replace(static_cast<std::size_t>(e.offset), e.bytes.size(), e.bytes);
            return;
        }
        case Call::truncate:
            return open_.at(e.descriptor)->bytes.resize(static_cast<std::size_t>(e.offset));
        case Call::sync: {
            Node& node = *open_or_named(e);
            node.synced_bytes = node.bytes;
            node.synced_entries = node.entries;
            node.changes.clear();
            return;
        }
        case Call::close: open_.erase(e.descriptor); return;
        case Call::rename: {
            NodePointer const node = find(e.path);
            unlink(e.path);
            link(e.second, node);
            Node& parent = *find(fs::path(e.path).parent_path());
            ASSERT_EQ(fs::path(e.path).parent_path(), fs::path(e.second).parent_path())
                << "not modelled";
            parent.changes.push_back({name_in(e.path), name_in(e.second), node});
            return;
        }
        case Call::unlink:
        case Call::rmdir:
            unlink(e.path);
            find(fs::path(e.path).parent_path())->changes.push_back({name_in(e.path), "", nullptr});
            return;
        case Call::mkdir: {
            auto const node = std::make_shared<Node>();
            node->folder = true;
            link(e.path, node);
            find(fs::path(e.path).parent_path())->changes.push_back({"", name_in(e.path), node});
            return;
        }
        case Call::read: return;
        }
    }

    /// The paths (below the folder) and bytes of what a power loss now leaves.
    std::map<std::string, std::string> after_power_loss(Left left, std::mt19937& random) const {
        std::map<std::string, std::string> files;
        collect(*root_, "", left, random, files);
        return files;
    }

  private:
    static std::string name_in(fs::path const& path) { return path.filename(); }

    static void load(fs::path const& from, Node& into) {
        for (auto const& entry : fs::directory_iterator(from)) {
            auto const node = std::make_shared<Node>();
            node->folder = entry.is_directory();
            if (node->folder)
                load(entry.path(), *node);
            else
                node->bytes = node->synced_bytes = cluster::read_file(entry.path());
            into.entries[entry.path().filename()] = into.synced_entries[entry.path().filename()] =
                node;
        }
    }

    NodePointer find(fs::path const& path) const {
        NodePointer node = root_;
        for (auto const& name : path.lexically_relative(folder_))
            if (name != ".") node = node->entries.at(name);
        return node;
    }
    void link(fs::path const& path, NodePointer const& node) {
        find(path.parent_path())->entries[path.filename()] = node;
    }
    void unlink(fs::path const& path) { find(path.parent_path())->entries.erase(path.filename()); }

    /// A folder or file is synced through a descriptor that was opened for reading, which is not
    /// recorded.
    NodePointer open_or_named(io::Event const& e) const {
        auto const found = open_.find(e.descriptor);
        return found != open_.end() ? found->second : find(e.path);
    }

    void open(io::Event const& e) {
        auto& entries = find(fs::path(e.path).parent_path())->entries;
        NodePointer& node = entries[name_in(e.path)];
        if (!node) {
            node = std::make_shared<Node>();
            find(fs::path(e.path).parent_path())->changes.push_back({"", name_in(e.path), node});
        }
        if (e.cut) node->bytes.clear();
        open_[e.descriptor] = node;
    }

    static Node::Entries entries_left(Node const& folder, Left left, std::mt19937& random) {
        if (left == Left::synced) return folder.synced_entries;
        if (left != Left::removals && left != Left::some_names) return folder.entries;
        Node::Entries entries = folder.synced_entries;
        for (auto const& change : folder.changes) {
            bool const kept = left == Left::some_names ? random() % 2 : change.made.empty();
            if (!kept) continue;
            if (!change.gone.empty()) entries.erase(change.gone);
            if (!change.made.empty()) entries[change.made] = change.node;
        }
        return entries;
    }

    static void collect(Node const& folder, std::string const& path, Left left,
                        std::mt19937& random, std::map<std::string, std::string>& files) {
        for (auto const& [name, node] : entries_left(folder, left, random)) {
            std::string const at = path + "/" + name;
            if (node->folder) {
                files[at + "/"] = "";
                collect(*node, at, left, random, files);
            } else if (left == Left::everything || node->bytes == node->synced_bytes) {
                files[at] = node->bytes;
            } else {
                bool const half = left == Left::names_and_half_the_bytes;
                files[at] =
                    half ? node->bytes.substr(0, node->bytes.size() / 2) : node->synced_bytes;
            }
        }
    }

    fs::path folder_;
    NodePointer root_ = std::make_shared<Node>();
    std::map<int, NodePointer> open_;
};

struct Case {
    char const* name;
    /// Saves, those in `before` by another process. The last of `saves` is looked at.
    std::vector<Save> before, saves;
    bool async;
    bool new_job; ///< it opens the folder, whose own name is safe already

    std::int64_t old_version() const {
        return saves.size() > 1 ? saves[saves.size() - 2].version
               : before.empty() ? -1
                                : before.back().version;
    }
};

class PowerLoss : public testing::TestWithParam<Case> {
  protected:
    /// Makes the saves in a child and returns the calls of the last one; the files before it are in
    /// `before_`.
    std::vector<io::Event> recorded() {
        Case const& at = GetParam();
        std::string const log = folder_.path() + "/log", run = folder_.path() + "/disk/run";
        fs::create_directories(folder_.path() + "/disk");
        if (!at.before.empty()) {
            EXPECT_EQ(make_saves(scene_config(run, false), at.before).finish, "");
        }
        pid_t const child = fork();
        if (child == 0) {
            auto const outcome =
                make_saves(scene_config(run, at.async), at.saves, [&](int rank, std::size_t i) {
                    if (rank != 0 || i + 1 != at.saves.size()) return;
                    fs::copy(folder_.path() + "/disk", folder_.path() + "/before",
                             fs::copy_options::recursive);
                    io::record(log);
                    io::watch(folder_.path() + "/disk");
                });
            _exit(outcome.finish.empty() ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
        return io::read_record(log);
    }

    /// The version that a job would find in these files.
    std::int64_t version_in(std::map<std::string, std::string> const& files) {
        std::ostringstream key;
        for (auto const& [path, bytes] : files)
            key << path << '\0' << bytes.size() << '\0' << bytes;
        auto const [known, added] = seen_.emplace(key.str(), 0);
        if (!added) return known->second;
        std::string const disk = folder_.path() + "/after";
        fs::remove_all(disk);
        fs::create_directories(disk);
        for (auto const& [path, bytes] : files)
            if (path.ends_with('/'))
                fs::create_directories(disk + path);
            else
                std::ofstream(disk + path, std::ios::binary) << bytes;
        return known->second = newest_sound_version(disk + "/run");
    }

    /// Replays the record without its sync number `without`; what is found wrong, or nothing.
    std::string loss(std::vector<io::Event> const& events, std::int64_t without) {
        std::int64_t const old = GetParam().old_version(), next = GetParam().saves.back().version;
        Disk disk(folder_.path() + "/before", folder_.path() + "/disk");
        std::mt19937 random(7);
        std::int64_t syncs = 0;
        for (std::size_t i = 0; i <= events.size(); ++i) {
            for (Left const left : kLeft) {
                std::int64_t const found = version_in(disk.after_power_loss(left, random));
                bool const sound = found == next || (i < events.size() && found == old);
                if (!sound)
                    return "after " + std::to_string(i) + " of " + std::to_string(events.size()) +
                           " calls, case " + std::to_string(static_cast<int>(left)) + ": version " +
                           std::to_string(found);
            }
            if (i == events.size()) break;
            if (events[i].call == Call::sync && ++syncs == without) continue;
            disk.apply(events[i]);
        }
        return "";
    }

    TemporaryFolder folder_;
    std::map<std::string, std::int64_t> seen_;
};

TEST_P(PowerLoss, LeavesASoundCheckpointWhateverMomentItComes) {
    at::set_num_threads(1); // a fork takes along no other thread
    auto const events = recorded();
    ASSERT_GT(events.size(), 5U);
    EXPECT_EQ(loss(events, 0), "");
    RecordProperty("states", static_cast<int>(seen_.size()));
    std::printf("%zu calls, %zu different disks after a power loss\n", events.size(), seen_.size());
    record(
        {.id = "F2",
         .fault = std::string("power loss at every moment of a save: ") + GetParam().name,
         .outcome = std::to_string(seen_.size()) + " different disks, a sound checkpoint on each"});
}

/// A sync that could be left out would be waste; one whose loss went unseen, a test that cannot
/// fail.
TEST_P(PowerLoss, EverySyncIsNeeded) {
    at::set_num_threads(1);
    auto const events = recorded();
    std::int64_t const syncs =
        std::ranges::count_if(events, [](io::Event const& e) { return e.call == Call::sync; });
    ASSERT_GE(syncs, 2);
    for (std::int64_t k = 1; k <= syncs; ++k) {
        std::int64_t seen = 0;
        auto const event = std::ranges::find_if(
            events, [&](auto const& e) { return e.call == Call::sync && ++seen == k; });
        // safe already
        if (GetParam().new_job && event->path.find("/checkpoints") == std::string::npos) continue;
        std::string const found = loss(events, k);
        EXPECT_NE(found, "") << "sync " << k << " of " << syncs
                             << " is not needed: " << event->path;
        std::printf("without the sync of %s: %s\n", fs::path(event->path).filename().c_str(),
                    found.c_str());
    }
}

INSTANTIATE_TEST_SUITE_P(
    Save, PowerLoss,
    testing::Values(Case{"first", {}, {{4, 1}}, false, false},
                    Case{"next", {}, {{4, 1}, {8, 2}}, false, false},
                    Case{"next_in_background", {}, {{4, 1}, {8, 2}}, true, false},
                    Case{"state_of_the_same_step", {}, {{4, 1}, {4, 2}}, false, false},
                    Case{"same_step_by_another_job", {{4, 1}}, {{4, 2}}, false, true}),
    [](auto const& c) { return c.param.name; });

} // namespace
} // namespace trireme::test
