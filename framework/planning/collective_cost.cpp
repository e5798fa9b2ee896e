#include "framework/planning/collective_cost.hpp"

#include <algorithm>
#include <cmath>

#include "framework/planning/real.hpp"

namespace trireme::framework::planning {

namespace {

/// Ranks of the group on one node.
std::int64_t members_on_node(Group const& group, Machine const& machine) {
    return std::clamp<std::int64_t>(machine.gpus_per_node / group.stride, 1, group.size);
}

/// Seconds of one round: each rank sends to the next one, over all of the ring.
double ring_latency(Group const& group, Machine const& machine) {
    std::int64_t const nodes = nodes_of(group, machine);
    if (nodes == 1) return real(group.size - 1) * machine.node_link.latency;
    return real(group.size - nodes) * machine.node_link.latency +
           real(nodes) * machine.network.latency;
}

/// Seconds up or down a tree: NCCL takes it as soon as a ring would wait for its latency.
double tree_latency(Group const& group, Machine const& machine) {
    double const nodes = real(nodes_of(group, machine));
    return real(members_on_node(group, machine)) * machine.node_link.latency +
           std::ceil(std::log2(nodes)) * machine.network.latency;
}

} // namespace

std::int64_t nodes_of(Group const& group, Machine const& machine) {
    std::int64_t const on_node = members_on_node(group, machine);
    return (group.size + on_node - 1) / on_node;
}

double ring_bandwidth(Group const& group, Machine const& machine) {
    double const inside = machine.node_link.bandwidth * machine.node_link.efficiency;
    std::int64_t const nodes = nodes_of(group, machine);
    if (nodes == 1) return inside;
    double const on_node = real(members_on_node(group, machine));
    double const share = on_node / real(machine.gpus_per_node);
    // One rank of each node: its network interface talks to the same one of other nodes, on
    // switches that no other ring crosses.
    double const crowded =
        on_node == 1 ? 1 : 1 + machine.network.contention * std::log2(real(nodes) / 2);
    // Who sends less than a crowded network takes does not feel the crowd.
    double const taken = std::min(machine.network.fed, 1 / crowded);
    double const between =
        machine.network.bandwidth * machine.network.efficiency * std::min(share, 1.0) * taken;
    return std::min(inside, between);
}

double all_gather_seconds(Group const& group, Machine const& machine, double bytes, double calls) {
    if (group.size <= 1 || bytes <= 0) return 0;
    double const sent = bytes * real(group.size - 1) / real(group.size);
    return calls * ring_latency(group, machine) + sent / ring_bandwidth(group, machine);
}

double all_reduce_seconds(Group const& group, Machine const& machine, double bytes, double calls) {
    if (group.size <= 1 || bytes <= 0) return 0;
    double const latency = std::min(ring_latency(group, machine), tree_latency(group, machine));
    double const sent = bytes * real(group.size - 1) / real(group.size);
    return 2 * (calls * latency + sent / ring_bandwidth(group, machine));
}

double transfer_seconds(std::int64_t stride, Machine const& machine, double bytes) {
    auto const one = [bytes](Link const& link, double senders) {
        return link.latency + bytes * senders / (link.bandwidth * link.efficiency);
    };
    double const inside = one(machine.node_link, 1);
    if (machine.nodes == 1) return inside;
    double const senders = real(std::min(stride, machine.gpus_per_node));
    double const crossing = senders / real(machine.gpus_per_node); // of all boundaries of stages
    return crossing * one(machine.network, senders) + (1 - crossing) * inside;
}

} // namespace trireme::framework::planning
