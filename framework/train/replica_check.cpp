#include "framework/train/replica_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "cluster/gather.hpp"
#include "cluster/host.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::framework::train {

namespace {

/// A copy of something that other ranks hold too.
struct Copy {
    std::string what;
    std::string hash;
};

std::string hash_of(at::Tensor const& values) {
    at::Tensor const here = values.cpu();
    return cluster::xxh3_hex(here.const_data_ptr(), static_cast<std::size_t>(here.nbytes()));
}

/// By parameter: padding between them is nobody's.
void add(std::vector<Copy>& copies, char const* kind, parallel::Unit const& unit,
         at::Tensor const& flat, std::int64_t begin, std::int64_t end) {
    if (!flat.defined()) return;
    for (auto const& s : parallel::stretches(unit, begin, end))
        copies.push_back({fmt::format("{} of {}", kind, s.parameter->spec().name),
                          hash_of(flat.narrow(0, s.at - begin, s.count))});
}

std::vector<Copy> compute_copies(parallel::ParameterStore const& store) {
    std::vector<Copy> copies;
    if (store.options().zero == 3) return copies;
    for (auto const& unit : store.units())
        add(copies, "weights", *unit, unit->compute, 0, unit->layout.total);
    return copies;
}

std::vector<Copy> kept_copies(parallel::ParameterStore const& store) {
    std::vector<Copy> copies;
    for (auto const& unit : store.units()) {
        add(copies, "master weights", *unit, unit->master, unit->begin, unit->end);
        add(copies, "first moment", *unit, unit->moment1, unit->begin, unit->end);
        add(copies, "second moment", *unit, unit->moment2, unit->begin, unit->end);
        add(copies, "average of the weights", *unit, unit->average, unit->begin, unit->end);
    }
    return copies;
}

std::vector<Copy> uncut_copies(parallel::ParameterStore const& store) {
    std::vector<Copy> copies;
    for (auto const& unit : store.units())
        for (auto const& s : parallel::stretches(*unit, unit->begin, unit->end))
            if (s.parameter->spec().cut.dim < 0)
                copies.push_back({fmt::format("master weights of {}", s.parameter->spec().name),
                                  hash_of(unit->master.narrow(0, s.at - unit->begin, s.count))});
    return copies;
}

/// Says who holds what the most do not hold; `holders`: names of ranks by the hash of their copy.
std::string describe_odd(std::string const& what,
                         std::map<std::string, std::vector<std::string>> const& holders,
                         std::vector<std::string> const& names) {
    auto const most =
        std::ranges::max_element(holders, {}, [](auto const& h) { return h.second.size(); });
    if (2 * most->second.size() <= names.size())
        return fmt::format("{} differ between ranks, no majority tells which is right: {}", what,
                           fmt::join(names, ", "));
    std::vector<std::string> odd;
    for (auto const& [hash, who] : holders)
        if (hash != most->first) odd.insert(odd.end(), who.begin(), who.end());
    return fmt::format("{} on {} differ from those of the {} ranks that agree", what,
                       fmt::join(odd, ", "), most->second.size());
}

/// Returns what this group finds about its copies; empty if all agree. A group of one has no
/// copies, and hashes nothing, since that would read all that is kept.
std::string odd_of(cluster::Communicator& group, std::string const& me,
                   parallel::ParameterStore const& store,
                   std::vector<Copy> (*make)(parallel::ParameterStore const&)) {
    if (group.size() == 1) return "";
    std::vector<Copy> const copies = make(store);
    std::string mine = me + "\n";
    for (auto const& copy : copies) mine += copy.hash;
    std::vector<std::string> names, hashes;
    for (auto const& text : cluster::all_gather_bytes(group, mine, "replicas/hashes")) {
        auto const line = text.find('\n');
        names.push_back(text.substr(0, line));
        hashes.push_back(text.substr(line + 1));
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
        std::size_t const width = copies[i].hash.size();
        std::map<std::string, std::vector<std::string>> holders;
        for (std::size_t r = 0; r < names.size(); ++r)
            holders[hashes[r].substr(i * width, width)].push_back(names[r]);
        if (holders.size() > 1) return describe_odd(copies[i].what, holders, names);
    }
    return "";
}

} // namespace

std::string find_odd_replica(parallelize::ParallelModel& model) {
    auto const& mesh = model.mesh();
    auto const& store = model.store();
    // Under ZeRO 1 and 2 the next pass needs them whole too; under ZeRO 3 there are no copies.
    std::optional<parallelize::WholeWeights> whole;
    if (store.options().zero < 3) whole.emplace(model);
    std::string const me = fmt::format("rank {}@{}", mesh.world().rank(), cluster::host_name());
    auto& keepers = store.options().zero > 0 ? mesh.along(parallel::Axis::replicate) : mesh.data();
    std::string trouble = odd_of(mesh.data(), me, store, &compute_copies);
    // Every rank asks every group, whatever it found: the calls are collective.
    for (auto const& found : {odd_of(keepers, me, store, &kept_copies),
                              odd_of(mesh.along(parallel::Axis::tensor), me, store, &uncut_copies)})
        if (trouble.empty()) trouble = found;
    for (auto const& found : cluster::all_gather_bytes(mesh.world(), trouble, "replicas/found"))
        if (!found.empty()) return found;
    return "";
}

} // namespace trireme::framework::train
