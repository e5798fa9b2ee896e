// `mpirun -n R trireme calibrate --output FILE`: measures the machine that it runs on, with as many
// ranks on a node as runs will have, for `trireme plan --machine FILE`.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <optional>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "cluster/gather.hpp"
#include "cluster/host.hpp"
#include "cluster/output_file.hpp"
#include "cluster/process.hpp"
#include "cluster/topology.hpp"
#include "framework/planning/collective_fit.hpp"
#include "framework/planning/kernel_times.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/storage_times.hpp"
#include "launch/commands.hpp"
#include "launch/options.hpp"
#include "launch/under_mpi.hpp"

namespace trireme::launch {

namespace planning = framework::planning;
namespace parallelize = framework::parallelize;
namespace po = boost::program_options;

namespace {

struct CalibrateRequest {
    std::string output, folder, name, compute = "fp32";
    bool quick = false, force = false;
    std::string command; ///< as it was given, for the file
};

/// Options that fill `r`, which must outlive them.
po::options_description calibrate_options(CalibrateRequest& r) {
    po::options_description options(
        "trireme calibrate --output FILE: measures this machine for `trireme plan --machine "
        "FILE`\n\n"
        "  mpirun -n 2 trireme calibrate --output machine.yaml\n"
        "  trireme calibrate --output machine.yaml --quick --force\n\n"
        "Start as many ranks on each node as runs will have: they share its memory, and so do "
        "their times. It\ntakes some minutes.\n\nOptions");
    // clang-format off
    options.add_options()
        ("output", po::value(&r.output)->required()->value_name("FILE"), "the machine's file")
        ("compute", po::value(&r.compute)->default_value("fp32")->value_name("TYPE"),
         "numerics.compute of the runs to be planned: fp32, bf16 or fp64")
        ("folder", po::value(&r.folder)->value_name("DIR"),
         "folder whose storage is timed; default: that of --output")
        ("name", po::value(&r.name)->value_name("NAME"), "of the machine; default: this host's")
        ("quick", po::bool_switch(&r.quick),
         "fewer sizes and repeats: some seconds, and less sure")
        ("force", po::bool_switch(&r.force), "replaces a file that exists");
    // clang-format on
    return options;
}

parallelize::Compute compute_of(std::string const& name) {
    auto const names = names_of(parallelize::Compute{});
    auto const* const found = std::ranges::find(names, name);
    if (found == names.end())
        throw cluster::InputError(fmt::format("--compute: {}: legal: fp32, bf16, fp64", name));
    return static_cast<parallelize::Compute>(found - names.begin());
}

/// Sizes that are measured; between them is interpolated.
planning::KernelPlan kernel_plan(CalibrateRequest const& r) {
    planning::KernelPlan plan{.compute = compute_of(r.compute)};
    if (r.quick) {
        plan.rows = {32, 256}, plan.widths = {64, 512}, plan.most_flops = 1e9, plan.seconds = 0.004;
        plan.sequences = {32, 128}, plan.head_sizes = {64}, plan.tokens = {128, 512};
        return plan;
    }
    plan.rows = {32, 128, 512, 2048}, plan.widths = {64, 128, 256, 512, 1024, 2048};
    plan.most_flops = 2.2e9, plan.seconds = 0.025;
    plan.sequences = {32, 64, 128, 256, 512}, plan.head_sizes = {32, 64, 128};
    plan.tokens = {128, 512, 2048, 8192};
    return plan;
}

planning::CollectiveSizes collective_sizes(bool quick) {
    if (quick) return {{1 << 10, 1 << 16, 1 << 20}, 3};
    std::vector<double> bytes;
    for (int power = 8; power <= 26; power += 2) bytes.push_back(1 << power);
    return {bytes, 9};
}

void note(cluster::Communicator& world, std::string const& text) {
    if (world.rank() == 0) cluster::say("trireme: calibrate: {}\n", text);
}

/// Times calls of groups of 2, 4 ... ranks of a node and of all, while all groups of a size call.
void time_groups(planning::Calibration& c, cluster::Communicator& world,
                 cluster::Topology const& place, bool quick) {
    std::int64_t const nodes = world.size() / place.local_size;
    for (int ranks = 2; ranks <= world.size(); ranks *= 2) {
        bool const inside = place.local_size % ranks == 0;
        if (!inside && ranks * 2 <= world.size()) continue; // over nodes: all ranks
        int const size = inside ? ranks : world.size();
        auto const group = world.split(world.rank() / size, world.rank(), "calibrate");
        auto const times =
            planning::time_collectives(*group, inside ? 1 : nodes, collective_sizes(quick));
        c.collectives.insert(c.collectives.end(), times.begin(), times.end());
        if (ranks == 2) c.overlap = planning::measured_overlap(*group, quick ? 3 : 9);
    }
    c.fits = planning::fit_collectives(c.collectives);
}

/// A link as an all-reduce finds it: rings send each byte twice, but for the share that a rank has.
planning::Link link_of(planning::Calibration const& c, bool between_nodes) {
    planning::Link link{.name = "measured", .bandwidth = 1e9, .efficiency = 1, .latency = 1e-6};
    for (auto const& fit : c.fits) {
        if (fit.op != cluster::Collective::all_gather || (fit.nodes > 1) != between_nodes) continue;
        double const others = static_cast<double>(fit.ranks - 1);
        link.latency = fit.latency / others;
        if (fit.per_byte > 0)
            link.bandwidth = others / static_cast<double>(fit.ranks) / fit.per_byte;
    }
    return link;
}

double best_rate(planning::Calibration const& c) {
    double best = 0;
    for (auto const& p : c.products)
        best = std::max(best, 2.0 * static_cast<double>(p.shape.rows * p.shape.inner) *
                                  static_cast<double>(p.shape.columns) / p.seconds);
    return best;
}

/// What all ranks measured together.
struct Measured {
    planning::Calibration calibration;
    cluster::Topology place;
    double bandwidth = 0; ///< bytes/s of a rank's memory while all ranks read and write
    planning::StorageRates storage;
    std::vector<std::string> notes;
};

Measured measure(CalibrateRequest const& r, cluster::Communicator& world) {
    Measured m{.place = cluster::topology(world)};
    auto const plan = kernel_plan(r);
    auto& c = m.calibration;
    c.threads = planning::prepare_kernels(plan, world);
    note(world,
         fmt::format("{} on {}, {} each; matrix products, and steps of small models between them",
                     cluster::counted(world.size(), "rank"), m.place.host,
                     cluster::counted(c.threads, "thread")));
    planning::ReferenceSteps reference(plan, world);
    reference.time_round();
    c.products = planning::time_products(plan, world, [&] { reference.time_round(); });
    note(world, "attention, memory");
    c.attention = planning::time_attention(plan, world);
    m.bandwidth = planning::memory_bandwidth(world);
    note(world, "kernels of the small models' steps");
    reference.time_round();
    auto steps = reference.result();
    c.operations = std::move(steps.operations);
    c.launch = steps.launch;
    c.together = planning::measured_together(c, steps.steps);
    for (auto const& step : steps.steps)
        m.notes.push_back(
            fmt::format("reference step, {}: {:.4g} ms", step.name, 1e3 * step.seconds));
    if (world.size() > 1) note(world, "collectives");
    time_groups(c, world, m.place, r.quick);
    note(world, fmt::format("storage of {}", r.folder));
    m.storage = planning::time_storage(r.folder, std::size_t{r.quick ? 4U : 64U} << 20, world);
    return m;
}

double memory_of_host() {
    return static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<double>(sysconf(_SC_PAGESIZE));
}

planning::MachineFile machine_of(CalibrateRequest const& r, Measured const& m, int ranks) {
    std::string const source =
        fmt::format("measured on {}, {:%Y-%m-%d %H:%M} UTC: {}", m.place.host,
                    fmt::gmtime(std::time(nullptr)), r.command);
    planning::MachineFile file;
    file.name = r.name.empty() ? m.place.host : r.name;
    file.verified_on = source.substr(source.find(m.place.host));
    file.gpu_source = file.node_source = file.network_source = file.host.source = source;
    auto& machine = file.machine;
    machine.nodes = std::max(1, ranks / m.place.local_size);
    machine.gpus_per_node = m.place.local_size;
    double const memory = memory_of_host();
    machine.gpu = {.name = "cpu",
                   .matrix_flops = best_rate(m.calibration),
                   .memory_bytes = memory / m.place.local_size,
                   .memory_bandwidth = m.bandwidth,
                   .multiprocessors = m.calibration.threads};
    machine.node_link = link_of(m.calibration, false);
    machine.network = link_of(m.calibration, machine.nodes > 1);
    file.topology = machine.nodes > 1 ? "as measured between nodes"
                                      : "not measured: one node; the values are those inside it";
    file.host.cores = m.place.cores;
    file.host.memory_bytes = memory;
    file.host.storage_bandwidth = m.storage.write / static_cast<double>(machine.nodes);
    file.host.storage_read = m.storage.read / static_cast<double>(machine.nodes);
    auto calibration = m.calibration;
    calibration.source = source;
    machine.calibration = std::make_shared<planning::Calibration const>(std::move(calibration));
    return file;
}

void print_summary(planning::MachineFile const& file, std::string const& output) {
    auto const& c = *file.machine.calibration;
    fmt::print("a rank, {}, while all work: {:.4g} GFLOP/s at the best product, {:.4g} GB/s of "
               "memory, {:.3g} us between two kernels\n",
               cluster::counted(c.threads, "thread"), file.machine.gpu.matrix_flops / 1e9,
               file.machine.gpu.memory_bandwidth / 1e9, c.launch * 1e6);
    for (auto const& fit : c.fits)
        fmt::print(
            "{:<15} of {} ranks: {:8.3g} us + {:7.3g} ns a byte, {:.1f} % off in the median\n",
            cluster::name_of(fit.op), fit.ranks, fit.latency * 1e6, fit.per_byte * 1e9,
            100 * fit.residual);
    fmt::print("storage: {:.3g} GB/s written and synced, {:.3g} GB/s read\nwritten: {}\n",
               file.host.storage_bandwidth / 1e9, file.host.storage_read / 1e9, output);
}

/// The folder is the output's where none is given; refuses one that is not there.
void resolve_folder(CalibrateRequest& r) {
    namespace fs = std::filesystem;
    if (r.folder.empty()) r.folder = fs::path(r.output).parent_path().string();
    if (r.folder.empty()) r.folder = ".";
    std::error_code none;
    if (!fs::is_directory(r.folder, none))
        throw cluster::InputError(
            fmt::format("--folder: {}: legal: a folder that is there", r.folder));
}

int calibrate(CalibrateRequest const& r, cluster::Communicator& world) {
    std::optional<cluster::OutputFile> output;
    if (world.rank() == 0) output.emplace("--output", r.output, existing(r.force));
    auto request = r;
    request.command =
        fmt::format("mpirun -n {} trireme calibrate{}{}", world.size(), r.quick ? " --quick" : "",
                    r.compute == "fp32" ? "" : " --compute " + r.compute);
    auto const measured = measure(request, world);
    if (world.rank() != 0) return cluster::kDone;
    auto const file = machine_of(request, measured, world.size());
    std::vector<std::string> comments{"Written by `trireme calibrate`: every value was measured, "
                                      "unless its key says otherwise."};
    comments.insert(comments.end(), measured.notes.begin(), measured.notes.end());
    output->write(planning::to_yaml(file, comments));
    print_summary(file, r.output);
    return cluster::kDone;
}

} // namespace

int calibrate_command(std::vector<std::string> const& arguments) {
    CalibrateRequest r;
    po::options_description options = calibrate_options(r);
    if (!parse(options, arguments)) return 0;
    compute_of(r.compute);
    resolve_folder(r);
    return under_mpi([&](cluster::Communicator& world) { return calibrate(r, world); });
}

} // namespace trireme::launch
