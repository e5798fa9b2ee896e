// Reads the keys that config_keys.hpp lists out of a YAML tree. For config.cpp.
#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/utf8.hpp"
#include "framework/config/config_keys.hpp"
#include "framework/config/foreign_keys.hpp"
#include "framework/config/mixture_keys.hpp"
#include "framework/config/plain_yaml.hpp"

namespace trireme::framework::config::keys {

/// Reads values in the order of walk(). Throws InputError with the place of the key, its value and
/// what is legal.
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
        if constexpr (kIsMixture<T>) {
            read_mixture(node, key, value, rule.legal);
        } else if (!decode(node, value) || !finite(value) || !rule.holds(value)) {
            fail(node, key, rule.legal);
        }
        if constexpr (!kIsMixture<T>)
            if (!writable(value)) fail(node, key, "a text in UTF-8");
    }

    template <typename Enum>
    void choice(std::string const& name, Enum& value) {
        std::vector<std::string> const names = legal_names(value);
        std::string text = names[static_cast<std::size_t>(value)];
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
    static constexpr bool kIsMixture =
        std::is_same_v<T, data::TrainData> || std::is_same_v<T, std::vector<data::CurriculumStage>>;
    template <typename T>
    void read_mixture(YAML::Node const& node, std::string const& key, T& value,
                      std::string const& legal) const {
        bool const is_list = node.IsScalar() && node.Scalar().starts_with("[");
        YAML::Node const content = is_list ? list_of(node) : node;
        if (content.IsNull()) fail(node, key, legal);
        std::string const place = at(node, key) + ": " + key;
        if constexpr (std::is_same_v<T, data::TrainData>)
            value = read_train_data(content, place);
        else
            value = read_curriculum(content, place);
    }
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
    static bool decode(YAML::Node const& node, std::vector<std::string>& value) {
        YAML::Node const list = list_of(node);
        value.clear();
        for (auto const& entry : list.IsSequence() ? list : YAML::Node()) {
            if (!entry.IsScalar()) return false;
            value.push_back(entry.Scalar());
        }
        return list.IsSequence();
    }
    static bool decode(YAML::Node const& node, data::ClassWeights& value) {
        YAML::Node const weights = list_of(node);
        value = {};
        if (weights.IsScalar()) {
            value.balanced = weights.Scalar() == "balanced";
            return value.balanced || weights.Scalar() == "none";
        }
        for (auto const& entry : weights.IsMap() ? weights : YAML::Node()) {
            double weight = 0;
            if (!entry.first.IsScalar() || !decode<double>(entry.second, weight) ||
                !value.by_name.emplace(entry.first.Scalar(), weight).second)
                return false;
        }
        return weights.IsMap() && weights.size() > 0;
    }
    /// Checkpoints hold the configuration as JSON.
    static bool writable(std::string const& text) { return cluster::is_utf8(text); }
    static bool writable(std::vector<std::string> const& texts) {
        return std::ranges::all_of(texts, cluster::is_utf8);
    }
    static bool writable(data::ClassWeights const& weights) {
        return std::ranges::all_of(weights.by_name,
                                   [](auto const& entry) { return cluster::is_utf8(entry.first); });
    }
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

} // namespace trireme::framework::config::keys
