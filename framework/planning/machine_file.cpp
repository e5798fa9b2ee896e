#include "framework/planning/machine_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/config/config_reader.hpp"
#include "framework/planning/calibration_file.hpp"

namespace trireme::framework::planning {

namespace {

namespace fs = std::filesystem;
namespace keys = config::keys;

std::vector<std::string> names_in(std::string const& folder) {
    std::vector<std::string> names;
    std::error_code none; // a folder that is not there has no machines
    for (auto const& entry : fs::directory_iterator(folder, none))
        if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
    std::ranges::sort(names);
    return names;
}

/// A number in the unit of the file, kept in base units.
template <typename Walk>
void scaled(Walk& w, char const* name, double& value, double unit, keys::Rule<double> const& rule) {
    double in_file = value / unit;
    w.field(name, in_file, rule);
    value = in_file * unit;
}
keys::Rule<double> share() {
    return {"a number > 0 and <= 1, or 0: not known", [](double x) { return x >= 0 && x <= 1; }};
}
keys::Rule<std::string> source() {
    return keys::not_empty("where the numbers come from");
}

template <typename Walk>
void walk_gpu(Walk& w, MachineFile& m) {
    Gpu& gpu = m.machine.gpu;
    w.field("name", gpu.name, keys::not_empty("the name of the GPU, or cpu"));
    w.field("source", m.gpu_source, source());
    scaled(w, "matrix_tflops", gpu.matrix_flops, 1e12, keys::positive());
    scaled(w, "fp8_tflops", m.fp8_flops, 1e12, keys::not_negative());
    scaled(w, "memory_GB", gpu.memory_bytes, 1e9, keys::positive());
    scaled(w, "memory_TBps", gpu.memory_bandwidth, 1e12, keys::positive());
    w.field("multiprocessors", gpu.multiprocessors, keys::at_least<std::int64_t>(1));
    w.field("matrix_efficiency", gpu.matrix_efficiency, share());
    w.field("memory_efficiency", gpu.memory_efficiency, share());
    w.field("watts", m.gpu_watts, keys::not_negative());
}

template <typename Walk>
void walk_node(Walk& w, MachineFile& m) {
    Link& link = m.machine.node_link;
    w.field("source", m.node_source, source());
    w.field("gpus", m.machine.gpus_per_node, keys::at_least<std::int64_t>(1));
    scaled(w, "link_GBps", link.bandwidth, 1e9, keys::positive());
    w.field("link_efficiency", link.efficiency, share());
    scaled(w, "link_latency_us", link.latency, 1e-6, keys::not_negative());
}

template <typename Walk>
void walk_network(Walk& w, MachineFile& m) {
    Link& link = m.machine.network;
    w.field("source", m.network_source, source());
    w.field("name", link.name, keys::not_empty("the kind of network"));
    w.field("topology", m.topology, keys::not_empty("how nodes are connected"));
    w.field("rails", m.rails, keys::at_least<std::int64_t>(1));
    double rail = link.bandwidth / static_cast<double>(std::max<std::int64_t>(1, m.rails));
    scaled(w, "rail_Gbps", rail, 1e9 / 8, keys::positive());
    link.bandwidth = rail * static_cast<double>(m.rails);
    w.field("efficiency", link.efficiency, share());
    scaled(w, "latency_us", link.latency, 1e-6, keys::not_negative());
    w.field("contention", link.contention, keys::below_one());
}

template <typename Walk>
void walk_host(Walk& w, MachineHost& host) {
    w.field("source", host.source, source());
    w.field("cores", host.cores, keys::at_least<std::int64_t>(0));
    scaled(w, "memory_GB", host.memory_bytes, 1e9, keys::not_negative());
    scaled(w, "storage_GBps", host.storage_bandwidth, 1e9, keys::not_negative());
    scaled(w, "storage_read_GBps", host.storage_read, 1e9, keys::not_negative());
    w.field("watts", host.watts, keys::not_negative());
}

template <typename Walk>
void walk_file(Walk& w, MachineFile& m) {
    w.field("name", m.name, keys::not_empty("the name of the machine"));
    w.field("verified_on", m.verified_on, keys::not_empty("where it was measured, or nothing"));
    w.field("nodes", m.machine.nodes, keys::at_least<std::int64_t>(1));
    w.section("gpu", [&] { walk_gpu(w, m); });
    w.section("node", [&] { walk_node(w, m); });
    w.section("network", [&] { walk_network(w, m); });
    w.section("host", [&] { walk_host(w, m.host); });
}

/// Writes what a Reader reads.
class Writer {
  public:
    void section(std::string const& name, std::function<void()> const& inside) {
        text_ += name + ":\n";
        indent_ = "  ";
        inside();
        indent_.clear();
    }
    void field(std::string const& name, std::string const& value, keys::Rule<std::string> const&) {
        text_ += fmt::format("{}{}: {}\n", indent_, name, YAML::Dump(YAML::Node(value)));
    }
    template <typename T>
    void field(std::string const& name, T value, keys::Rule<T> const&) {
        text_ += fmt::format("{}{}: {:.6g}\n", indent_, name, static_cast<double>(value));
    }
    std::string const& text() const { return text_; }

  private:
    std::string text_, indent_;
};

/// Not known until the file says it.
MachineFile unknown() {
    MachineFile m;
    m.machine.gpu.matrix_efficiency = m.machine.gpu.memory_efficiency = 0;
    m.machine.node_link.efficiency = m.machine.network.efficiency = 0;
    return m;
}

} // namespace

MachineFile read_machine(std::string const& name, std::string const& folder) {
    bool const is_path = name.find('/') != std::string::npos || name.ends_with(".yaml");
    std::string const file = is_path ? name : folder + "/" + name + ".yaml";
    if (!is_path && !cluster::is_there(file))
        throw cluster::InputError(
            fmt::format("--machine: {}: legal: {}, or the path of a file like those of {}", name,
                        fmt::join(names_in(folder), ", "), folder));
    YAML::Node root =
        config::load_plain_yaml(cluster::read_file(file, config::kMostYamlBytes), file);
    if (!root.IsMap())
        throw cluster::InputError(fmt::format("{}: legal: a mapping of keys to values", file));
    MachineFile m = unknown();
    if (YAML::Node const measured = root["calibration"]) {
        m.machine.calibration =
            std::make_shared<Calibration const>(read_calibration(measured, file));
        root.remove("calibration");
    }
    keys::Reader reader(file, root, {});
    walk_file(reader, m);
    reader.check_unknown();
    m.machine.name = m.name;
    m.machine.node_link.name = m.machine.gpu.name;
    return m;
}

std::string to_yaml(MachineFile const& machine, std::vector<std::string> const& comments) {
    Writer writer;
    MachineFile copy = machine;
    walk_file(writer, copy);
    std::string text;
    for (auto const& line : comments) text += "# " + line + "\n";
    text += writer.text();
    return machine.machine.calibration ? text + to_yaml(*machine.machine.calibration) : text;
}

} // namespace trireme::framework::planning
