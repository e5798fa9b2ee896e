// A file system that keeps no more of a save than POSIX promises, played from the record of its
// calls.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "tests/fault/save_io_faults.hpp"

namespace trireme::test {

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

} // namespace trireme::test
