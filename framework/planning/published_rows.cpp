#include "framework/planning/published_rows.hpp"

#include <fmt/format.h>

#include <array>

#include "data/json.hpp"

namespace trireme::framework::planning {

namespace {

using Json = nlohmann::json;

/// Fields that would give the answer away, or say what a row is used for.
constexpr std::array kLeaks{"measured", "usable", "reason", "group", "inferred", "note", "trust"};

/// Fields of an object: null and missing are one.
class Fields {
  public:
    explicit Fields(Json const& object) : object_(object) {}

    std::int64_t needed(std::string const& name) const {
        if (absent(name)) throw cluster::InputError(name + ": not stated");
        return data::count(object_, name, 1);
    }
    std::int64_t count_or(std::string const& name, std::int64_t otherwise) const {
        return absent(name) ? otherwise : data::count(object_, name);
    }
    bool flag_or(std::string const& name, bool otherwise) const {
        return absent(name) ? otherwise : data::member<bool>(object_, name);
    }
    double number_or(std::string const& name, double otherwise) const {
        return absent(name) ? otherwise : data::member<double>(object_, name);
    }
    std::string text_or(std::string const& name, std::string const& otherwise) const {
        return absent(name) ? otherwise : data::member<std::string>(object_, name);
    }

  private:
    bool absent(std::string const& name) const {
        return !object_.contains(name) || object_.at(name).is_null();
    }
    Json const& object_;
};

ModelShape read_model(Json const& json) {
    if (!json.is_object()) throw cluster::InputError("model: missing; legal: an object");
    Fields const f(json);
    ModelShape m;
    m.hidden = f.needed("hidden");
    m.layers = f.needed("layers");
    m.heads = f.needed("heads");
    m.kv_heads = f.count_or("kv_heads", m.heads);
    m.head_dim = f.count_or("head_dim", m.hidden / m.heads);
    m.gated = f.flag_or("gated", false);
    m.ffn = f.count_or("ffn", 4 * m.hidden);
    m.vocabulary = f.count_or("vocab", 50257);
    m.tied = f.flag_or("tied", true);
    if (f.count_or("experts", 1) != 0)
        throw cluster::InputError("experts: a mixture of experts: legal: a dense model");
    return m;
}

PipelineKind schedule_of_name(std::string const& name, std::int64_t stages) {
    if (name == "interleaved") return PipelineKind::interleaved;
    if (name == "zb-1p") return PipelineKind::zero_bubble_1p;
    if (name == "zb-2p") return PipelineKind::zero_bubble_2p;
    return stages > 1 ? PipelineKind::one_f_one_b : PipelineKind::none;
}

Recompute recompute_of_name(std::string const& name) {
    if (name == "none") return Recompute::none;
    return name == "full" ? Recompute::full : Recompute::selective;
}

Layout read_layout(Fields const& f) {
    Layout l;
    l.tensor = f.needed("tp");
    l.pipeline = f.needed("pp");
    l.context = f.count_or("cp", 1);
    l.data = f.needed("dp");
    l.chunks = f.count_or("vpp", 1);
    l.zero = static_cast<int>(f.count_or("zero", 0));
    l.shard = l.zero == 0 ? 1 : f.count_or("shard_size", l.data) * l.context;
    l.sequence_parallel = f.flag_or("sequence_parallel", false);
    l.schedule = schedule_of_name(f.text_or("schedule", ""), l.pipeline);
    if (l.schedule == PipelineKind::interleaved && l.chunks < 2)
        l.schedule = PipelineKind::one_f_one_b;
    if (l.schedule != PipelineKind::interleaved) l.chunks = 1;
    l.recompute = recompute_of_name(f.text_or("recompute", "none"));
    return l;
}

Workload read_workload(Json const& json) {
    Fields const f(json);
    Workload w;
    w.model = read_model(json.value("model", Json()));
    w.layout = read_layout(f);
    w.sequence = f.needed("seq");
    w.micro_batch = f.needed("micro_batch");
    w.micro_batches = f.count_or("num_microbatches", 0);
    if (w.micro_batches == 0)
        w.micro_batches = f.needed("global_batch") / (w.layout.data * w.micro_batch);
    if (w.micro_batches == 0)
        throw cluster::InputError("global_batch: less than a micro-batch of each replica");
    w.flash_attention = f.flag_or("flash_attention", false);
    w.bf16 = f.text_or("precision", "bf16") != "fp16";
    w.fp32_gradients = f.flag_or("main_grads_fp32", false);
    return w;
}

Machine read_machine(Json const& json, Constants const& constants) {
    Fields const f(json);
    Machine machine;
    std::string const name = f.text_or("gpu", "not stated");
    machine.gpu = constants.gpu(name);
    std::int64_t const gpus = f.needed("gpus");
    machine.gpus_per_node = std::min(gpus, f.count_or("gpus_per_node", 8));
    machine.nodes = (gpus + machine.gpus_per_node - 1) / machine.gpus_per_node;
    machine.node_link = constants.node_link(name);
    machine.network = constants.network(f.text_or("network", "other"));
    machine.network.bandwidth =
        1e9 * f.number_or("node_network_GBs", machine.network.bandwidth * 1e-9);
    return machine;
}

std::string line_of(PublishedRow const& row) {
    if (!row.refused.empty()) return row.id + ",,,,\n";
    try {
        auto const p = predict_step(row.workload, row.stack, row.machine);
        auto const& m = p.stages.at(p.printed_stage);
        return fmt::format("{},{:.6g},{:.6g},{:.6g},{}\n", row.id, p.time.step,
                           m.printed(row.stack.reports_peak) * 1e-9, m.reserved() * 1e-9,
                           p.fits ? "true" : "false");
    } catch (cluster::InputError const&) {
        return row.id + ",,,,\n";
    }
}

} // namespace

PublishedRow parse_row(std::string const& path, std::string const& line, std::int64_t number,
                       Constants const& constants) {
    auto json = data::parse_json(path, line, number);
    PublishedRow row;
    row.id = data::member<std::string>(json, "id");
    if (row.id.find_first_of(",\"\r\n") != std::string::npos)
        throw cluster::InputError(
            fmt::format("{}:{}: id: {}: legal: a text without commas, quotes and ends of lines",
                        path, number, data::shown(json.at("id"))));
    for (auto const* leak : kLeaks) json.erase(leak);
    try {
        Fields const f(json);
        row.stack = constants.stack_of_row(f.text_or("table", ""), f.text_or("source", ""));
        row.workload = read_workload(json);
        row.machine = read_machine(json, constants);
    } catch (cluster::InputError const& e) {
        row.refused = e.what();
    }
    return row;
}

std::string predictions_csv(std::vector<PublishedRow> const& rows) {
    std::string text = "id,step_s,mem_alloc_GB,mem_reserved_GB,fits\n";
    for (auto const& row : rows) text += line_of(row);
    return text;
}

} // namespace trireme::framework::planning
