#include "framework/planning/plan_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "framework/planning/real.hpp"

namespace trireme::framework::planning {

namespace {

double tokens_of(OwnRun const& run) {
    return real(run.sequence * run.global_batch);
}

std::string share(double part, double whole) {
    return fmt::format("{:5.1f}", 100 * part / whole);
}

std::string line_of(Judged const& j, OwnRun const& run, MachineFile const& m, double library) {
    auto const& t = j.time;
    double const devices = real(m.machine.nodes * m.machine.gpus_per_node),
                 rate = tokens_of(run) / t.step,
                 used = flops_per_token(run).megatron * rate / devices / m.machine.gpu.matrix_flops;
    return fmt::format("{:9.4g} {:10.0f} {:6.1f} {:8.2f}  {} {} {} {} {} {}  {}\n", t.step,
                       rate / devices, 100 * used, (j.memory.total() + library) / 1e9,
                       share(t.compute, t.step), share(t.tensor_exposed, t.step),
                       share(t.pipeline_exposed, t.step), share(t.bubble, t.step),
                       share(t.data_exposed, t.step), share(t.optimizer, t.step), to_text(j.plan));
}

std::string csv_line(Judged const& j, OwnRun const& run, double library) {
    auto const& s = j.plan.layout.section;
    auto const& t = j.time;
    auto const& m = j.memory;
    return fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g},{:."
        "6g},"
        "{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{}\n",
        s.pipeline, s.replicate, s.shard, s.tensor, s.zero, parallel::name_of(s.schedule),
        s.virtual_stages, parallelize::name_of(s.recompute), parallelize::name_of(s.offload),
        j.plan.micro_batch, j.plan.layout.micro_steps, j.fits() ? "yes" : "no", t.step,
        j.fits() ? tokens_of(run) / t.step : 0, t.compute, t.tensor_exposed, t.pipeline_exposed,
        t.bubble, t.data_exposed, t.optimizer, m.weights, m.gradients, m.optimizer, m.activations,
        m.buffers, m.data, library, m.total() + library, j.stage);
}

} // namespace

FlopsPerToken flops_per_token(OwnRun const& run) {
    auto const& m = run.model;
    double const table = real(m.vocabulary) * real(m.hidden),
                 layers = real(m.layers) * m.layer_parameters(),
                 attention = 12 * real(m.layers) * real(m.attention_width()) * real(run.sequence),
                 without_input = 6 * (layers + table) + attention;
    return {without_input, 6 * (layers + (m.tied ? 1 : 2) * table) + attention, without_input};
}

std::string overflow_text(double bytes) {
    return fmt::format("{:+.1f} GiB", bytes / (1 << 30));
}

std::string table_of(SearchResult const& result, OwnRun const& run, MachineFile const& machine,
                     double library, std::size_t most) {
    std::string text = "   step s   tok/s/GPU  MFU %  peak GB  % compute tensor  pipe bubble  data "
                       "update  layout\n";
    for (std::size_t i = 0; i < std::min(most, result.fitting.size()); ++i)
        text += line_of(result.fitting[i], run, machine, library);
    return text;
}

std::string to_csv(SearchResult const& result, OwnRun const& run, double library) {
    std::string text =
        "pipeline,replicate,shard,tensor,zero,schedule,virtual_stages,recompute,offload,"
        "micro_batch_samples,micro_steps,fits,step_s,tokens_per_s,compute_s,tensor_s,pipeline_s,"
        "bubble_s,data_parallel_s,optimizer_s,weights_bytes,gradients_bytes,optimizer_bytes,"
        "activations_bytes,buffers_bytes,data_bytes,library_bytes,peak_bytes,fullest_stage\n";
    for (auto const* all : {&result.fitting, &result.refused})
        for (auto const& j : *all) text += csv_line(j, run, library);
    return text;
}

std::vector<Judged> pareto(SearchResult const& result) {
    std::vector<Judged> best;
    double least = std::numeric_limits<double>::infinity();
    for (auto const& j : result.fitting) {
        if (j.memory.total() >= least) continue;
        least = j.memory.total();
        best.push_back(j);
    }
    return best;
}

} // namespace trireme::framework::planning
