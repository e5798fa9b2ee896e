#include "parallel/parameter_store.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::parallel {

namespace {

constexpr std::uint64_t kInitialPurpose = 0x696e697469616cULL; // "initial"

at::Tensor flat_zeros(std::int64_t count, at::ScalarType dtype) {
    return at::zeros({count}, at::TensorOptions().dtype(dtype));
}

at::Tensor view_in(at::Tensor const& flat, FlatLayout const& layout, std::size_t i, Parameter const& parameter) {
    return flat.narrow(0, layout.offset[i], layout.count[i]).view(parameter.spec().shape);
}

/// Four normal numbers from one Philox block: Box and Muller's transform in float64, rounded once by the caller.
std::array<double, 4> normals(cluster::PhiloxBlock const& bits) {
    std::array<double, 4> out{};
    for (std::size_t pair = 0; pair < 2; ++pair) {
        double const u = (static_cast<double>(bits[2 * pair]) + 0.5) * 0x1p-32;
        double const angle = 2.0 * std::numbers::pi * (static_cast<double>(bits[2 * pair + 1]) + 0.5) * 0x1p-32;
        double const radius = std::sqrt(-2.0 * std::log(u));
        out[2 * pair] = radius * std::cos(angle);
        out[2 * pair + 1] = radius * std::sin(angle);
    }
    return out;
}

} // namespace

ParameterStore::ParameterStore(std::vector<ParameterSpec> specs, StoreOptions const& options) : options_(options) {
    std::vector<std::pair<std::string, std::vector<Parameter*>>> groups;
    for (auto& spec : specs) {
        auto const& parameter = parameters_.emplace_back(std::make_unique<Parameter>(std::move(spec)));
        auto const& s = parameter->spec();
        if (!by_name_.emplace(s.name, parameter.get()).second)
            throw cluster::InputError("parameter " + s.name + " is declared twice");
        if (groups.empty() || groups.back().first != s.unit) groups.push_back({s.unit, {}});
        groups.back().second.push_back(parameter.get());
    }
    for (auto& [name, parameters] : groups) build_unit(name, std::move(parameters));
}

void ParameterStore::build_unit(std::string const& name, std::vector<Parameter*> parameters) {
    std::vector<std::int64_t> counts;
    int uses = 1;
    for (auto const* p : parameters) {
        counts.push_back(p->numel());
        uses = std::max(uses, p->spec().uses);
    }
    if (uses > 1 && parameters.size() > 1)
        throw cluster::InputError(fmt::format("unit {}: a tied parameter must be alone in its unit", name));
    Unit& unit = units_.emplace_back();
    unit.name = name;
    unit.layout = lay_out(counts, options_.parts);
    unit.master = flat_zeros(unit.layout.total, master_dtype());
    unit.compute = options_.compute == master_dtype() ? unit.master : flat_zeros(unit.layout.total, options_.compute);
    for (auto const* p : parameters) unit.trainable |= p->spec().trainable;
    for (int u = 0; u < uses && unit.trainable && options_.gradients; ++u) {
        unit.total.push_back(flat_zeros(unit.layout.total, master_dtype()));
        unit.slot.push_back(options_.separate_slots ? flat_zeros(unit.layout.total, master_dtype())
                                                    : unit.total.back());
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        Parameter& p = *parameters[i];
        p.value_ = view_in(unit.compute, unit.layout, i, p);
        p.master_ = view_in(unit.master, unit.layout, i, p);
        for (std::size_t u = 0; u < unit.total.size(); ++u)
            p.sinks_.push_back({view_in(unit.total[u], unit.layout, i, p), view_in(unit.slot[u], unit.layout, i, p)});
    }
    unit.parameters = std::move(parameters);
}

at::ScalarType ParameterStore::master_dtype() const {
    return options_.compute == at::kDouble ? at::kDouble : at::kFloat;
}

Parameter& ParameterStore::at(std::string const& name) {
    auto const found = by_name_.find(name);
    if (found == by_name_.end()) throw cluster::InputError("no parameter is called " + name);
    return *found->second;
}

Parameter const& ParameterStore::at(std::string const& name) const {
    return const_cast<ParameterStore*>(this)->at(name);
}

std::size_t ParameterStore::unit_index(std::string const& name) const {
    for (std::size_t i = 0; i < units_.size(); ++i)
        if (units_[i].name == name) return i;
    throw cluster::InputError("no unit is called " + name);
}

void ParameterStore::initialize(Parameter& parameter, std::uint64_t seed) {
    auto const& spec = parameter.spec();
    if (spec.initial != Initial::normal) {
        parameter.master_.fill_(spec.initial == Initial::ones ? 1.0 : 0.0);
        return;
    }
    std::uint64_t const key = cluster::philox_key(seed, kInitialPurpose, cluster::xxh3_64(spec.name));
    std::int64_t const n = parameter.numel();
    at::Tensor const values = at::empty({(n + 3) / 4 * 4}, at::kDouble);
    double* out = values.data_ptr<double>();
    for (std::int64_t block = 0; block < (n + 3) / 4; ++block) {
        auto const four = normals(cluster::philox(key, static_cast<std::uint64_t>(block), 0));
        for (std::size_t i = 0; i < 4; ++i) out[4 * block + static_cast<std::int64_t>(i)] = spec.deviation * four[i];
    }
    // Through float32 also for the float64 oracle: every mode starts from the same weights.
    parameter.master_.copy_(values.narrow(0, 0, n).to(at::kFloat).view(spec.shape));
}

void ParameterStore::refresh_compute() {
    for (auto& unit : units_)
        if (unit.compute.data_ptr() != unit.master.data_ptr()) unit.compute.copy_(unit.master);
}

void ParameterStore::allocate_moments() {
    for (auto& unit : units_) {
        if (!unit.trainable) continue;
        unit.moment1 = flat_zeros(unit.layout.total, master_dtype());
        unit.moment2 = flat_zeros(unit.layout.total, master_dtype());
    }
}

void ParameterStore::begin_step() {
    for (auto& p : parameters_)
        for (auto& sink : p->sinks_) sink.holds_sum = sink.written = false;
    if (options_.separate_slots)
        for (auto& unit : units_)
            for (auto& total : unit.total) total.zero_();
}

void ParameterStore::begin_slot() {
    for (auto& p : parameters_)
        for (auto& sink : p->sinks_) {
            sink.written = false;
            if (options_.separate_slots) sink.holds_sum = false;
        }
}

void ParameterStore::check_all_delivered(std::size_t unit) const {
    for (auto const* p : units_[unit].parameters)
        for (auto const& sink : p->sinks_)
            if (!sink.written && p->spec().trainable)
                throw cluster::JobError("parameter " + p->spec().name + " got no gradient in this slot");
}

void ParameterStore::zero_undelivered(std::size_t unit) {
    for (auto* p : units_[unit].parameters)
        for (auto& sink : p->sinks_)
            if (!sink.holds_sum) sink.total.zero_();
}

} // namespace trireme::parallel
