#include "framework/config/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/path.hpp"
#include "cluster/utf8.hpp"
#include "framework/config/config_keys.hpp"
#include "framework/config/foreign_keys.hpp"
#include "framework/config/old_keys.hpp"
#include "framework/config/plain_yaml.hpp"

namespace trireme::framework::config {

using namespace keys;

namespace {

class Reader {
  public:
    /// `assigned`: which of the nodes that the file does not have came from where.
    Reader(std::string file, YAML::Node root, Origins assigned)
        : file_(std::move(file)), assigned_(std::move(assigned)) {
        levels_.push_back({"", std::move(root), {}});
    }

    void section(std::string const& name, std::function<void()> const& inside) {
        Level& parent = levels_.back();
        parent.known.insert(name);
        YAML::Node const node = std::as_const(parent.node)[name];
        if (node && !node.IsMap())
            fail(node, name, "a mapping of keys to values, one line each, indented");
        levels_.push_back({name + ".", node ? node : YAML::Node(YAML::NodeType::Map), {}});
        inside();
        check_unknown();
        levels_.pop_back();
    }

    template <typename T>
    void field(std::string const& name, T& value, Rule<T> const& rule) {
        Level& level = levels_.back();
        level.known.insert(name);
        YAML::Node const node = std::as_const(level.node)[name];
        std::string const key = level.prefix + name;
        origins_[key] = node ? at(node, key) : "default";
        if (!node) {
            if (!rule.holds(value))
                throw cluster::InputError(
                    fmt::format("{}: {}: missing; legal: {}", file_, key, rule.legal));
            return;
        }
        if (!decode(node, value) || !finite(value) || !rule.holds(value))
            fail(node, key, rule.legal);
        if (!writable(value)) fail(node, key, "a text in UTF-8");
    }

    template <typename Enum>
    void choice(std::string const& name, Enum& value) {
        std::vector<std::string> const names = names_of(value);
        std::string text = name_of(value);
        field(name, text, one_of(names));
        value = static_cast<Enum>(std::ranges::find(names, text) - names.begin());
    }

    /// Every key of the current level must have been asked for, once.
    void check_unknown() const {
        Level const& level = levels_.back();
        std::set<std::string> seen;
        for (auto const& entry : level.node) {
            if (!entry.first.IsScalar())
                throw cluster::InputError(at(entry.first, "") +
                                          ": a list or a mapping as a key; legal: a name");
            std::string const key = entry.first.Scalar();
            if (!level.known.contains(key))
                throw cluster::InputError(fmt::format(
                    "{}: unknown key {}{}{} legal: {}", at(entry.first, level.prefix + key),
                    level.prefix, key,
                    suggest_key(level.prefix, key, {level.known.begin(), level.known.end()}),
                    fmt::join(level.known, ", ")));
            if (!seen.insert(key).second)
                throw cluster::InputError(fmt::format("{}: {}{} is given twice",
                                                      at(entry.first, level.prefix + key),
                                                      level.prefix, key));
        }
    }

    Origins const& origins() const { return origins_; }

  private:
    struct Level {
        std::string prefix;
        YAML::Node node;
        std::set<std::string> known;
    };
    template <typename T>
    static bool decode(YAML::Node const& node, T& value) {
        return node.IsScalar() && decode_plain(node.Scalar(), value);
    }
    /// An assignment on the command line is one word, a list too. A word that is no YAML is no
    /// list.
    static YAML::Node list_of(YAML::Node const& node) try {
        return node.IsScalar() ? load_plain_yaml(node.Scalar(), "") : node;
    } catch (cluster::InputError const&) {
        return {};
    }
    static bool decode(YAML::Node const& node, std::vector<int>& value) {
        YAML::Node const list = list_of(node);
        value.assign(list.IsSequence() ? list.size() : 0, 0);
        for (std::size_t i = 0; i < value.size(); ++i)
            if (!decode<int>(list[i], value[i])) return false;
        return list.IsSequence();
    }
    /// Checkpoints hold the configuration as JSON.
    static bool writable(std::string const& text) { return cluster::is_utf8(text); }
    template <typename T>
    static bool writable(T const&) {
        return true;
    }
    static bool finite(double x) { return std::isfinite(x); }
    template <typename T>
    static bool finite(T const&) {
        return true;
    }
    /// FILE:LINE, or what brought in a node that the file does not have.
    std::string at(YAML::Node const& node, std::string const& key) const {
        return node.Mark().is_null() ? assigned_.at(key)
                                     : fmt::format("{}:{}", file_, node.Mark().line + 1);
    }
    static std::string shown(YAML::Node const& node) {
        if (node.IsScalar()) return node.Scalar();
        return node.IsNull() ? "no value" : node.IsSequence() ? "a list" : "a mapping";
    }
    [[noreturn]] void fail(YAML::Node const& node, std::string const& key,
                           std::string const& legal) const {
        throw cluster::InputError(fmt::format("{}: {}: {}: legal: {}",
                                              at(node.IsNull() ? key_node(key) : node, key), key,
                                              shown(node), legal));
    }
    /// A value that is left out has the place of what comes next: its key has the right one.
    YAML::Node key_node(std::string const& key) const {
        Level const& level = levels_.back();
        for (auto const& entry : level.node)
            if (entry.first.IsScalar() && level.prefix + entry.first.Scalar() == key)
                return entry.first;
        return level.node;
    }

    std::string file_;
    Origins assigned_, origins_;
    std::vector<Level> levels_;
};

class Writer {
  public:
    void section(std::string const& name, std::function<void()> const& inside) {
        out_ << YAML::Key << name << YAML::Value << YAML::BeginMap;
        inside();
        out_ << YAML::EndMap;
    }
    template <typename T>
    void field(std::string const& name, T const& value, Rule<T> const&) {
        if constexpr (std::is_same_v<T, double>)
            out_ << YAML::Key << name << YAML::Value << fmt::format("{}", value);
        else if constexpr (std::is_same_v<T, std::vector<int>>)
            out_ << YAML::Key << name << YAML::Value << YAML::Flow << value;
        else
            out_ << YAML::Key << name << YAML::Value << value;
    }
    template <typename Enum>
    void choice(std::string const& name, Enum const& value) {
        out_ << YAML::Key << name << YAML::Value << name_of(value);
    }
    std::string text(std::function<void()> const& inside) {
        out_ << YAML::BeginMap;
        inside();
        out_ << YAML::EndMap;
        return std::string(out_.c_str()) + "\n";
    }

  private:
    YAML::Emitter out_;
};

/// Every key with its value as text and what is legal.
class Lister {
  public:
    void section(std::string const& name, std::function<void()> const& inside) {
        prefix_ = name + ".";
        inside();
        prefix_.clear();
    }
    template <typename T>
    void field(std::string const& name, T const& value, Rule<T> const& rule) {
        values_.push_back({prefix_ + name, fmt::format("{}", value), rule.legal});
    }
    template <typename Enum>
    void choice(std::string const& name, Enum const& value) {
        field(name, std::string(name_of(value)), one_of(names_of(value)));
    }
    std::vector<Value> take() { return std::move(values_); }

  private:
    std::string prefix_;
    std::vector<Value> values_;
};

/// Puts KEY=VALUE into the tree of `file`; `source` (--set, TRIREME_SET) is noted in `assigned`.
void apply(YAML::Node root, std::string const& file, std::string const& assignment,
           std::string const& source, Origins& assigned) {
    auto const equal = assignment.find('=');
    if (equal == std::string::npos || equal == 0)
        throw cluster::InputError(
            fmt::format("{0} {1}: legal: KEY=VALUE, as in {0} optimizer.learning_rate=1e-4", source,
                        assignment));
    std::string const key = assignment.substr(0, equal), value = assignment.substr(equal + 1);
    auto const dot = key.find('.');
    bool const of_file = !assigned.contains(key.substr(0, dot));
    assigned[key] = assigned[key.substr(0, dot)] = source;
    // A node made here has no mark, by which messages tell it from the file's.
    YAML::Node node(value);
    if (dot == std::string::npos) {
        root[key] = node;
        return;
    }
    YAML::Node section = root[key.substr(0, dot)];
    if (section && !section.IsMap() && !section.IsNull()) {
        std::string const place =
            section.Mark().is_null() ? file : fmt::format("{}:{}", file, section.Mark().line + 1);
        throw cluster::InputError(
            fmt::format("{} {}: {} has no keys inside{}", source, assignment, key.substr(0, dot),
                        of_file ? fmt::format(": {} gives it a value", place) : ""));
    }
    section[key.substr(dot + 1)] = node;
}

/// Gives keys of the version before the names that they have now. Returns a line for each.
std::vector<std::string> renew_keys(YAML::Node root, std::string const& file, Origins& assigned) {
    std::vector<std::pair<std::string, std::string>> old;
    for (auto const& section : root)
        if (section.first.IsScalar() && section.second.IsMap())
            for (auto const& entry : section.second)
                if (entry.first.IsScalar() &&
                    new_name_of(section.first.Scalar() + "." + entry.first.Scalar()))
                    old.emplace_back(section.first.Scalar(), entry.first.Scalar());
    std::vector<std::string> notes;
    for (auto const& [section, name] : old) {
        std::string const key = section + "." + name, now = *new_name_of(key);
        YAML::Node inside = root[section];
        YAML::Node const value = inside[name];
        std::string const place = value.Mark().is_null()
                                      ? assigned.at(key)
                                      : fmt::format("{}:{}", file, value.Mark().line + 1);
        std::string const last = now.substr(section.size() + 1);
        YAML::Node const newer = std::as_const(inside)[last];
        // An assignment of either name wins over the file, as it does where the names are the same.
        bool const overridden = newer && newer.Mark().is_null() && !value.Mark().is_null();
        bool const overrides = newer && !newer.Mark().is_null() && value.Mark().is_null();
        if (newer && !overridden && !overrides)
            throw cluster::InputError(
                fmt::format("{}: {} is the old name of {}, which is given too; legal: one of them",
                            place, key, now));
        inside.remove(name);
        notes.push_back(old_name_note(place, key));
        if (overridden) continue;
        inside[last] = value;
        if (value.Mark().is_null()) assigned[now] = assigned.at(key);
    }
    return notes;
}

/// Key and text of every value of a configuration in YAML, section by section.
std::map<std::string, std::string> flatten(std::string const& yaml) {
    std::map<std::string, std::string> values;
    for (auto const& entry : YAML::Load(yaml)) {
        auto const name = entry.first.as<std::string>();
        if (!entry.second.IsMap()) values[name] = entry.second.Scalar();
        for (auto const& inner :
             entry.second.IsMap() ? entry.second : YAML::Node(YAML::NodeType::Map)) {
            std::string const key = name + "." + inner.first.as<std::string>();
            values[new_name_of(key).value_or(key)] =
                inner.second.IsScalar() ? inner.second.Scalar() : YAML::Dump(inner.second);
        }
    }
    return values;
}

/// `name`: of the text, in messages.
ConfigWithOrigins parse(std::string const& text, std::string const& name,
                        std::vector<std::string> const& environment,
                        std::vector<std::string> const& command_line) {
    YAML::Node const root = load_plain_yaml(text, name);
    if (!root.IsMap())
        throw cluster::InputError(
            name + ": legal: a mapping of keys to values (see configs/ for complete examples)");
    Origins assigned;
    for (auto const& assignment : environment)
        apply(root, name, assignment, "TRIREME_SET", assigned);
    for (auto const& assignment : command_line) apply(root, name, assignment, "--set", assigned);
    Config config;
    config.notes = renew_keys(root, name, assigned);
    Reader reader(name, root, assigned);
    walk(reader, config);
    reader.check_unknown();
    for (auto const& [key, path] : {std::pair{"run", &config.run},
                                    {"model.path", &config.model.path},
                                    {"data.path", &config.data.path}})
        *path = cluster::expand_path(reader.origins().at(key) + ": " + key, *path);
    return {config, reader.origins()};
}

} // namespace

Config read_config(std::string const& file, std::vector<std::string> const& overrides) {
    return read_config_with_origins(file, {}, overrides).config;
}

Config parse_config(std::string const& text, std::string const& name,
                    std::vector<std::string> const& overrides) {
    return parse(text, name, {}, overrides).config;
}

ConfigWithOrigins read_config_with_origins(std::string const& file,
                                           std::vector<std::string> const& environment,
                                           std::vector<std::string> const& command_line) {
    return parse(cluster::read_file(file, kMostYamlBytes), file, environment, command_line);
}

std::string to_yaml(Config const& config) {
    Writer writer;
    Config copy = config;
    return writer.text([&] { walk(writer, copy); });
}

std::vector<Value> list_values(Config const& config) {
    Lister lister;
    Config copy = config;
    walk(lister, copy);
    return lister.take();
}

std::vector<std::string> differences(std::string const& old_yaml, std::string const& new_yaml) {
    auto const before = flatten(old_yaml), now = flatten(new_yaml);
    auto const text = [](auto const& values, std::string const& key) {
        auto const found = values.find(key);
        return found == values.end() ? "(no such key)" : found->second;
    };
    auto keys = before;
    keys.insert(now.begin(), now.end());
    std::vector<std::string> lines;
    for (auto const& [key, value] : keys)
        if (text(before, key) != text(now, key))
            lines.push_back(fmt::format("{}: {} -> {}", key, text(before, key), text(now, key)));
    return lines;
}

} // namespace trireme::framework::config
