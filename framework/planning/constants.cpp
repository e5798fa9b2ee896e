#include "framework/planning/constants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "data/json.hpp"

namespace trireme::framework::planning {

namespace {

using Json = nlohmann::json;

template <typename T>
using NamedNumbers = std::vector<std::pair<char const*, double T::*>>;

NamedNumbers<Gpu> const kGpuFacts{{"matrix_flops", &Gpu::matrix_flops},
                                  {"memory_bytes", &Gpu::memory_bytes},
                                  {"memory_bandwidth", &Gpu::memory_bandwidth}};
NamedNumbers<Gpu> const kGpuConstants{{"matrix_efficiency", &Gpu::matrix_efficiency},
                                      {"memory_efficiency", &Gpu::memory_efficiency},
                                      {"tile_depth", &Gpu::tile_depth}};
NamedNumbers<Link> const kLinkFacts{{"bandwidth", &Link::bandwidth}};
NamedNumbers<Link> const kLinkConstants{{"efficiency", &Link::efficiency},
                                        {"latency", &Link::latency},
                                        {"contention", &Link::contention}};
NamedNumbers<Stack> const kStackFacts{{"weight_bytes", &Stack::weight_bytes},
                                      {"gradient_bytes", &Stack::gradient_bytes},
                                      {"optimizer_bytes", &Stack::optimizer_bytes},
                                      {"sharded_buffer_bytes", &Stack::sharded_buffer_bytes},
                                      {"reduce_bytes", &Stack::reduce_bytes},
                                      {"saved_hidden", &Stack::saved_hidden},
                                      {"saved_heads", &Stack::saved_heads},
                                      {"saved_ffn", &Stack::saved_ffn},
                                      {"saved_gated", &Stack::saved_gated},
                                      {"logits_bytes", &Stack::logits_bytes},
                                      {"loss_bytes", &Stack::loss_bytes},
                                      {"ahead_bytes", &Stack::ahead_bytes},
                                      {"kept_bytes", &Stack::kept_bytes},
                                      {"workspace_bytes", &Stack::workspace_bytes},
                                      {"optimizer_traffic", &Stack::optimizer_traffic},
                                      {"bucket_bytes", &Stack::bucket_bytes},
                                      {"gather_calls", &Stack::gather_calls},
                                      {"live_parameters", &Stack::live_parameters},
                                      {"copy_bytes", &Stack::copy_bytes},
                                      {"fp32_copy_bytes", &Stack::fp32_copy_bytes},
                                      {"largest_bytes", &Stack::largest_bytes},
                                      {"context_bytes", &Stack::context_bytes}};
std::vector<std::pair<char const*, bool Stack::*>> const kStackSwitches{
    {"reports_peak", &Stack::reports_peak},
    {"prints_first_stage", &Stack::prints_first_stage},
    {"copies_only_between_steps", &Stack::copies_only_between_steps},
    {"shards_gradients", &Stack::shards_gradients},
    {"blocking_transfers", &Stack::blocking_transfers},
    {"scatters_transfers", &Stack::scatters_transfers},
    {"broadcasts_weights", &Stack::broadcasts_weights},
    {"gathers_lists", &Stack::gathers_lists},
    {"slices_tensors", &Stack::slices_tensors},
    {"splits_by_cost", &Stack::splits_by_cost},
    {"causal_attention", &Stack::causal_attention},
    {"keeps_shard_copy", &Stack::keeps_shard_copy},
    {"gathers_again", &Stack::gathers_again},
    {"hides_tensor_calls", &Stack::hides_tensor_calls},
    {"hides_renewed_weights", &Stack::hides_renewed_weights},
    {"recomputes_attention", &Stack::recomputes_attention},
    {"reduces_each_step", &Stack::reduces_each_step}};
NamedNumbers<StackConstants> const kStackConstants{
    {"host_kernel", &StackConstants::host_kernel},
    {"host_collective", &StackConstants::host_collective},
    {"elementwise", &StackConstants::elementwise},
    {"overlap", &StackConstants::overlap},
    {"attention", &StackConstants::attention},
    {"network_use", &StackConstants::network_use},
    {"fixed_bytes", &StackConstants::fixed_bytes},
    {"reserved_overhead", &StackConstants::reserved_overhead},
    {"step", &StackConstants::step}};

/// Assumed for a GPU and a link without measured runs: values between those that were fitted.
Gpu const kUnknownGpu{.matrix_efficiency = 0.75, .memory_efficiency = 0.85, .tile_depth = 190};
Link const kUnknownLink{.efficiency = 0.7, .latency = 4e-6};

/// Takes the members of one object that are numbers of `fields`, and remembers which it took.
class Taken {
  public:
    explicit Taken(Json const& object) : object_(object) {}

    template <typename T>
    void numbers(NamedNumbers<T> const& fields, T& target) {
        for (auto const& [name, field] : fields)
            if (take(name)) target.*field = data::member<double>(object_, name);
    }
    void switches(Stack& target) {
        for (auto const& [name, field] : kStackSwitches)
            if (take(name)) target.*field = data::member<bool>(object_, name);
    }
    bool take(std::string const& name) {
        known_.push_back(name);
        return object_.contains(name);
    }
    /// Refuses what nobody took.
    void finish() const {
        for (auto const& [name, value] : object_.items())
            if (name != "source" && std::ranges::find(known_, name) == known_.end())
                throw cluster::InputError(
                    fmt::format("{}: unknown; legal: {}, source", name, fmt::join(known_, ", ")));
    }

  private:
    Json const& object_;
    std::vector<std::string> known_;
};

template <typename T>
void read_numbers(Json const& object, NamedNumbers<T> const& fields, T& target) {
    Taken taken(object);
    taken.numbers(fields, target);
    taken.finish();
}

Json const& object_of(Json const& json, std::string const& name) {
    if (!json.is_object() || !json.contains(name) || !json.at(name).is_object())
        throw cluster::InputError(name + ": missing; legal: an object");
    return json.at(name);
}

Gpu read_gpu(std::string const& name, Json const& json) {
    Gpu gpu{.name = name};
    Taken facts(object_of(json, "facts"));
    facts.numbers(kGpuFacts, gpu);
    facts.take("multiprocessors");
    gpu.multiprocessors = data::count(object_of(json, "facts"), "multiprocessors", 1);
    facts.finish();
    read_numbers(object_of(json, "constants"), kGpuConstants, gpu);
    return gpu;
}

Link read_link(std::string const& name, Json const& json) {
    Link link{.name = name};
    read_numbers(object_of(json, "facts"), kLinkFacts, link);
    read_numbers(object_of(json, "constants"), kLinkConstants, link);
    return link;
}

StackEntry read_stack(Json const& json) {
    StackEntry entry;
    entry.stack.name = data::member<std::string>(json, "name");
    entry.tables = data::member<std::vector<std::string>>(json, "tables");
    Taken facts(object_of(json, "facts"));
    facts.numbers(kStackFacts, entry.stack);
    facts.switches(entry.stack);
    facts.finish();
    Taken constants(object_of(json, "constants"));
    constants.numbers(kStackConstants, entry.stack.constants);
    constants.numbers(kStackFacts, entry.stack); // A fact that no code tells was fitted.
    constants.finish();
    return entry;
}

template <typename T>
std::map<std::string, T> read_all(Json const& json, T (*read)(std::string const&, Json const&)) {
    std::map<std::string, T> all;
    for (auto const& [name, value] : json.items()) {
        try {
            all.emplace(name, read(name, value));
        } catch (cluster::InputError const& e) {
            throw cluster::InputError(name + ": " + e.what());
        }
    }
    return all;
}

template <typename T>
T const& find(std::map<std::string, T> const& all, std::string const& name, char const* field) {
    auto const found = all.find(name);
    if (found != all.end()) return found->second;
    std::vector<std::string> known;
    for (auto const& [key, value] : all) known.push_back(key);
    throw cluster::InputError(
        fmt::format("{}: {}: legal: {}", field, name, fmt::join(known, ", ")));
}

/// Takes the constants that `own` lacks from `fitted`, or all where nothing of `own` was measured.
void fill(Gpu& own, Gpu const& fitted, bool measured) {
    for (auto const& [name, field] : kGpuConstants)
        if (!measured || own.*field <= 0) own.*field = fitted.*field;
}

void fill(Link& own, Link const& fitted, bool measured) {
    for (auto const& [name, field] : kLinkConstants)
        if (!measured || own.*field <= 0) own.*field = fitted.*field;
}

Constants parse(Json const& json) {
    Constants c;
    c.gpus = read_all(object_of(json, "gpus"), read_gpu);
    c.node_links = read_all(object_of(json, "node_links"), read_link);
    c.networks = read_all(object_of(json, "networks"), read_link);
    for (auto const& stack : data::list(json, "stacks")) c.stacks.push_back(read_stack(stack));
    return c;
}

} // namespace

Gpu const& Constants::gpu(std::string const& name) const {
    return find(gpus, name, "gpu");
}

Link const& Constants::node_link(std::string const& gpu) const {
    return find(node_links, gpu, "gpu");
}

Link Constants::network(std::string const& name) const {
    for (auto const& [word, link] : networks)
        if (name.find(word) != std::string::npos) return link;
    return find(networks, "other", "network");
}

Stack const& Constants::stack(std::string const& name) const {
    for (auto const& entry : stacks)
        if (entry.stack.name == name) return entry.stack;
    std::vector<std::string> known;
    for (auto const& entry : stacks) known.push_back(entry.stack.name);
    throw cluster::InputError(fmt::format("stack: {}: legal: {}", name, fmt::join(known, ", ")));
}

Stack const& Constants::stack_of_row(std::string const& table, std::string const& source) const {
    for (auto const* text : {&table, &source})
        for (auto const& entry : stacks)
            for (auto const& word : entry.tables)
                if (text->find(word) != std::string::npos) return entry.stack;
    return stacks.back().stack;
}

Machine Constants::complete(Machine machine, bool measured) const {
    auto const known = gpus.find(machine.gpu.name);
    fill(machine.gpu, known != gpus.end() ? known->second : kUnknownGpu,
         measured || known == gpus.end());
    auto const link = node_links.find(machine.gpu.name);
    fill(machine.node_link, link != node_links.end() ? link->second : kUnknownLink,
         measured || link == node_links.end());
    bool const infiniband = machine.network.name.starts_with("InfiniBand");
    fill(machine.network, network(infiniband ? "IB" : machine.network.name), measured);
    return machine;
}

Constants read_constants(std::string const& file) {
    std::ifstream in(file);
    if (!in) throw cluster::InputError(file + ": cannot be read");
    std::ostringstream text;
    text << in.rdbuf();
    try {
        return parse(data::parse_json(file, text.str()));
    } catch (cluster::InputError const& e) {
        std::string const what = e.what();
        throw cluster::InputError(what.starts_with(file) ? what : file + ": " + what);
    }
}

} // namespace trireme::framework::planning
