#include "framework/config/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <functional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/path.hpp"
#include "framework/config/config_keys.hpp"
#include "framework/config/config_reader.hpp"
#include "framework/config/mixture_keys.hpp"
#include "framework/config/old_keys.hpp"
#include "framework/config/plain_yaml.hpp"

namespace trireme::framework::config {

using namespace keys;

namespace {

template <typename T>
std::string text_of_value(T const& value) {
    if constexpr (!std::is_same_v<T, std::string> && !std::is_arithmetic_v<T> &&
                  !std::is_same_v<T, std::vector<int>>) {
        YAML::Emitter out;
        out << value;
        return out.c_str();
    } else {
        return fmt::format("{}", value);
    }
}

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
        out_ << YAML::Key << name << YAML::Value
             << legal_names(value)[static_cast<std::size_t>(value)];
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
        values_.push_back({prefix_ + name, text_of_value(value), rule.legal});
    }
    template <typename Enum>
    void choice(std::string const& name, Enum const& value) {
        auto const names = legal_names(value);
        field(name, names[static_cast<std::size_t>(value)], one_of(names));
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

/// Refuses a range test of the learning rate that has no lowest rate or begins with a warm-up.
void check_range_test(optimizer::Section const& section, Origins const& origins) {
    auto const no = [&](std::string const& key, double value, char const* legal) {
        auto const found = origins.find(key);
        throw cluster::InputError(
            fmt::format("{}{}: {}: legal with optimizer.schedule: range_test: {}",
                        found == origins.end() ? "" : found->second + ": ", key, value, legal));
    };
    if (section.schedule != optimizer::RateSchedule::range_test) return;
    if (section.warmup != 0) no("optimizer.warmup", section.warmup, "0");
    if (section.final_fraction <= 0)
        no("optimizer.final_fraction", section.final_fraction,
           "a number > 0, the share of optimizer.learning_rate at which it begins");
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
    keys::Reader reader(name, root, assigned);
    walk(reader, config);
    reader.check_unknown();
    for (auto const& [key, path] : {std::pair{"run", &config.run},
                                    {"model.path", &config.model.path},
                                    {"data.path", &config.data.path},
                                    {"data.stage_to", &config.data.stage_to},
                                    {"guard.general_data", &config.guard.general_data}})
        if (!path->empty())
            *path = cluster::expand_path(reader.origins().at(key) + ": " + key, *path);
    settle_mixture(config.data, reader.origins());
    check_range_test(config.optimizer, reader.origins());
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
    // A key that was not there yet had what is its default now.
    auto before = flatten(old_yaml), now = flatten(new_yaml);
    for (auto* values : {&before, &now}) values->merge(flatten(to_yaml({})));
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
