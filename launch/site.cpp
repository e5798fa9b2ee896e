#include "launch/site.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/nearest.hpp"
#include "framework/config/plain_yaml.hpp"

namespace trireme::launch {

namespace {

namespace fs = std::filesystem;

constexpr std::array kOwnOptions{"array",     "cpus-per-task", "dependency", "error",
                                 "job-name",  "nodes",         "ntasks",     "ntasks-per-node",
                                 "open-mode", "output",        "requeue",    "no-requeue",
                                 "signal",    "time",          "wrap"};

constexpr char const* kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
constexpr char const* kDigits = "0123456789";

/// One of `first` and then any number of these and of `more`. A standard regular expression would
/// call itself once for each letter of a text that a user gives.
void check_letters(std::string const& field, std::string const& value, std::string const& first,
                   std::string const& more, char const* legal) {
    bool const right = !value.empty() && first.find(value[0]) != std::string::npos &&
                       value.find_first_not_of(first + more) == std::string::npos;
    if (!right) throw cluster::InputError(fmt::format("{}: {}: legal: {}", field, value, legal));
}

std::vector<std::string> names_of_sites(std::string const& folder) {
    std::vector<std::string> names;
    std::error_code none; // a folder that is not there has no sites
    for (auto const& entry : fs::directory_iterator(folder, none))
        if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
    std::ranges::sort(names);
    return names;
}

/// Walks the keys of a site's file and hands each value to whoever wants it.
class SiteReader {
  public:
    SiteReader(std::string const& file, Site& site) : file_(file) {
        take("source", [&](auto const& v) { site.source = text(v, "source"); });
        take("verified_on", [&](auto const& v) { site.verified_on = text(v, "verified_on"); });
        take("launcher", [&](auto const& v) {
            site.launcher = text(v, "launcher");
            if (site.launcher != "srun" && site.launcher != "mpirun")
                refuse(v, "launcher", "srun, mpirun");
        });
        take("tasks_per_node",
             [&](auto const& v) { site.tasks_per_node = count(v, "tasks_per_node"); });
        take("cpus_per_task",
             [&](auto const& v) { site.cpus_per_task = count(v, "cpus_per_task"); });
        take("most_minutes", [&](auto const& v) { site.most_minutes = count(v, "most_minutes"); });
        take("lead", [&](auto const& v) { site.lead = count(v, "lead"); });
        take_lists(site);
    }

    void read() {
        YAML::Node const root = framework::config::load_plain_yaml(
            cluster::read_file(file_, framework::config::kMostYamlBytes), file_);
        if (!root.IsMap())
            throw cluster::InputError(fmt::format("{}: legal: a mapping of keys to values", file_));
        std::set<std::string> seen;
        for (auto const& entry : root) {
            std::string const key = entry.first.Scalar();
            auto const found = fields_.find(key);
            if (found == fields_.end()) refuse_unknown(entry.first);
            if (!seen.insert(key).second)
                throw cluster::InputError(fmt::format("{} is given twice", at(entry.first, key)));
            found->second(entry.second);
        }
        for (char const* needed : {"source", "verified_on"})
            if (!seen.contains(needed))
                throw cluster::InputError(
                    fmt::format("{}: {}: missing; legal: a text", file_, needed));
    }

  private:
    [[noreturn]] void refuse_unknown(YAML::Node const& key) const {
        std::vector<std::string> legal;
        for (auto const& [name, unused] : fields_) legal.push_back(name);
        throw cluster::InputError(fmt::format(
            "{}:{}: unknown key {}{} legal: {}", file_, key.Mark().line + 1, key.Scalar(),
            cluster::suggestion(key.Scalar(), legal), fmt::join(legal, ", ")));
    }

    void take_lists(Site& site) {
        take("sbatch", [&](auto const& v) {
            site.sbatch = pairs(v, "sbatch");
            for (auto const& [name, value] : site.sbatch)
                check_sbatch_option(at(v, "sbatch." + name), name, value);
        });
        take("modules", [&](auto const& v) {
            site.modules = words(v, "modules");
            for (auto const& m : site.modules)
                check_letters(at(v, "modules"), m, std::string(kLetters) + kDigits, ".+/-",
                              "a module's name");
        });
        take("environment", [&](auto const& v) {
            site.environment = pairs(v, "environment");
            for (auto const& [name, value] : site.environment) {
                check_letters(at(v, "environment"), name, kLetters, kDigits,
                              "the name of a variable");
                check_word(at(v, "environment." + name), value);
            }
        });
        take("srun", [&](auto const& v) { site.srun = words(v, "srun"); });
        take("mpirun", [&](auto const& v) { site.mpirun = words(v, "mpirun"); });
    }
    void take(char const* key, std::function<void(YAML::Node const&)> use) {
        fields_[key] = std::move(use);
    }
    std::string at(YAML::Node const& node, std::string const& key) const {
        return fmt::format("{}:{}: {}", file_, node.Mark().line + 1, key);
    }
    [[noreturn]] void refuse(YAML::Node const& node, std::string const& key,
                             char const* legal) const {
        throw cluster::InputError(fmt::format("{}: {}: legal: {}", at(node, key),
                                              node.IsScalar() ? node.Scalar() : "no such value",
                                              legal));
    }
    std::string text(YAML::Node const& node, std::string const& key) const {
        if (!node.IsScalar() || node.Scalar().empty()) refuse(node, key, "a text");
        check_word(at(node, key), node.Scalar());
        return node.Scalar();
    }
    int count(YAML::Node const& node, std::string const& key) const {
        int value = 0;
        if (!node.IsScalar() || !framework::config::decode_plain(node.Scalar(), value) || value < 1)
            refuse(node, key, "a whole number >= 1");
        return value;
    }
    std::vector<std::string> words(YAML::Node const& node, std::string const& key) const {
        if (!node.IsSequence()) refuse(node, key, "a list of words");
        std::vector<std::string> all;
        for (auto const& item : node) all.push_back(text(item, key));
        return all;
    }
    NamedValues pairs(YAML::Node const& node, std::string const& key) const {
        if (!node.IsMap()) refuse(node, key, "a mapping of names to values");
        NamedValues all;
        for (auto const& entry : node) {
            std::string const name = entry.first.Scalar();
            if (!entry.second.IsScalar() && !entry.second.IsNull())
                refuse(entry.second, key + "." + name, "a text");
            if (std::ranges::find(all, name, [](auto const& p) { return p.first; }) != all.end())
                throw cluster::InputError(
                    fmt::format("{} is given twice", at(entry.first, key + "." + name)));
            all.emplace_back(name, entry.second.IsNull() ? "" : entry.second.Scalar());
        }
        return all;
    }

    std::string const& file_;
    std::map<std::string, std::function<void(YAML::Node const&)>> fields_;
};

} // namespace

void check_sbatch_option(std::string const& field, std::string const& name,
                         std::string const& value) {
    constexpr char const* kLower = "abcdefghijklmnopqrstuvwxyz";
    check_letters(field, name, kLower, "-", "an option of sbatch without its dashes");
    for (std::string const own : kOwnOptions) // sbatch takes the beginning of a name for the name
        if (own.starts_with(name))
            throw cluster::InputError(
                fmt::format("{}: --{} {} trireme submit itself", field, name,
                            own == name ? "is set by" : "may stand for --" + own + ", set by"));
    std::string const legal = std::string(kLetters) + kDigits + ".,:=+*/@%^&|()[]-";
    if (!value.empty())
        check_letters(field, value, legal, "",
                      "letters, digits and _ . , : = + * / @ % ^ & | ( ) [ ] -");
}

void check_word(std::string const& field, std::string const& value) {
    if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        throw cluster::InputError(
            fmt::format("{}: {}: legal: no control characters", field, value));
}

Site read_site(std::string const& name, std::string const& folder) {
    check_word("--site", name);
    bool const is_path = name.find('/') != std::string::npos || name.ends_with(".yaml");
    std::string const file = is_path ? name : folder + "/" + name + ".yaml";
    if (!is_path && !cluster::is_there(file))
        throw cluster::InputError(
            fmt::format("--site: {}: legal: {}, or the path of a file like those of {}", name,
                        fmt::join(names_of_sites(folder), ", "), folder));
    Site site;
    site.name = fs::path(file).stem();
    SiteReader(file, site).read();
    return site;
}

} // namespace trireme::launch
