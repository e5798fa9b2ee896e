#include "parallel/parameter_store.hpp"

#include <fmt/format.h>

#include <utility>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"
#include "cluster/xxh3.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/memory_class.hpp"
#include "parallel/normal_numbers.hpp"

namespace trireme::parallel {

namespace {

constexpr std::uint64_t kInitialPurpose = 0x696e697469616cULL; // "initial"

at::Tensor view_in(at::Tensor const& flat, FlatLayout const& layout, std::size_t i,
                   Parameter const& parameter) {
    return flat.narrow(0, layout.offset[i], layout.count[i]).view(parameter.shape());
}

/// Elements [first, first + count) of a global tensor of normal numbers.
at::Tensor normal_run(std::uint64_t key, std::int64_t first, std::int64_t count, double deviation) {
    std::int64_t const block = first / 4, blocks = (first + count + 3) / 4 - block;
    at::Tensor const values = at::empty({4 * blocks}, at::kDouble);
    double* out = values.data_ptr<double>();
    for (std::int64_t b = 0; b < blocks; ++b)
        for (double const x :
             normals(cluster::philox(key, static_cast<std::uint64_t>(block + b), 0)))
            *out++ = deviation * x;
    // Through float32 also for the float64 oracle: every mode starts from the same weights.
    return values.narrow(0, first - 4 * block, count).to(at::kFloat);
}

} // namespace

at::Tensor Unit::gradient_range(std::size_t use, std::int64_t from, std::int64_t count) const {
    std::int64_t const origin = total.at(use).size(0) == layout.total ? 0 : begin;
    return total[use].narrow(0, from - origin, count);
}

at::Tensor Unit::kept_gradient(std::size_t use) const {
    return gradient_range(use, begin, end - begin);
}

void Unit::open_micro_batch(std::size_t use) {
    AllocatingFor const buffers(MemoryClass::buffers);
    bool const fresh = !current.at(use).defined();
    if (fresh) current[use] = at::empty({layout.total}, total.at(use).options());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        if (use >= parameters[i]->sinks_.size()) continue;
        auto& gradient = parameters[i]->sinks_[use].gradient;
        gradient = view_in(current[use], layout, i, *parameters[i]);
        // Nobody writes it, and it is summed with the rest of the unit.
        if (fresh && !parameters[i]->spec().trainable) gradient.zero_();
    }
}

std::vector<at::Tensor> Unit::close_micro_batch() {
    std::vector<at::Tensor> buffers = current;
    for (auto* p : parameters)
        for (auto& sink : p->sinks_) {
            sink.written = false;
            if (current_is_total) continue;
            sink.holds_sum = false;
            sink.gradient = at::Tensor();
        }
    if (!current_is_total) current.assign(current.size(), {});
    return buffers;
}

std::vector<at::Tensor> Unit::marks_to_agree_on() {
    std::vector<at::Tensor> all;
    for (auto* p : parameters) {
        if (p->sinks_.empty()) continue;
        auto& sink = p->sinks_.front();
        if (!sink.marks.defined() || composed(sink.gradient)) continue;
        if (!std::exchange(sink.marked, true)) sink.marks.fill_(1);
        all.push_back(sink.marks);
    }
    return all;
}

void Unit::show_compute() {
    for (std::size_t i = 0; i < parameters.size(); ++i)
        parameters[i]->value_ =
            state == State::unsharded ? view_in(compute, layout, i, *parameters[i]) : at::Tensor();
}

std::vector<Stretch> stretches(Unit const& unit, std::int64_t begin, std::int64_t end) {
    std::vector<Stretch> out;
    for (std::size_t i = 0; i < unit.parameters.size(); ++i) {
        std::int64_t const start = unit.layout.offset[i], from = std::max(begin, start),
                           to = std::min(end, start + unit.layout.count[i]);
        if (from < to) out.push_back({unit.parameters[i], from - start, to - from, from});
    }
    return out;
}

ParameterStore::ParameterStore(std::vector<ParameterSpec> specs, StoreOptions const& options)
    : options_(options) {
    std::vector<std::pair<std::string, std::vector<Parameter*>>> groups;
    for (auto& spec : specs) {
        auto const& parameter = parameters_.emplace_back(std::make_unique<Parameter>(
            std::move(spec), options.place.tensor, options.place.tensor_rank));
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
        throw cluster::InputError(
            fmt::format("unit {}: a tied parameter must be alone in its unit", name));
    Unit& unit = *units_.emplace_back(std::make_unique<Unit>());
    unit.name = name;
    unit.layout = lay_out(counts, options_.place.parts());
    for (auto const* p : parameters) {
        unit.trainable |= p->spec().trainable;
        unit.owned &= p->spec().owned;
    }
    unit.parameters = std::move(parameters);
    for (auto* p : unit.parameters) p->unit_ = &unit;
    allocate(unit, uses);
}

void ParameterStore::allocate(Unit& unit, int uses) const {
    AllocatingFor const weights(MemoryClass::weights);
    auto const& place = options_.place;
    std::int64_t const n = unit.layout.total, kept = options_.zero > 0 ? n / place.shard : n;
    bool const shared =
        options_.compute == master_dtype() && options_.zero < 3 && !options_.host_state;
    unit.begin = options_.zero > 0 ? place.shard_rank * kept : 0;
    unit.end = unit.begin + kept;
    unit.gradient_dtype = master_dtype();
    if (options_.zero < 3) unit.compute = zeros(n, options_.compute);
    unit.state = options_.zero < 3 ? Unit::State::unsharded : Unit::State::sharded;
    unit.master = shared ? unit.compute.narrow(0, unit.begin, kept) : zero_state(kept);
    unit.current_is_total = !options_.separate_micro_batches && options_.zero < 2;
    unit.show_compute();
    for (std::size_t i = 0; i < unit.parameters.size() && options_.zero == 0; ++i)
        unit.parameters[i]->master_ = view_in(unit.master, unit.layout, i, *unit.parameters[i]);
    if (!unit.trainable || !options_.gradients) return;
    AllocatingFor const gradients(MemoryClass::gradients);
    for (int use = 0; use < uses; ++use)
        unit.total.push_back(zeros(options_.zero < 2 ? n : kept, unit.gradient_dtype));
    unit.current.resize(unit.total.size());
    if (unit.current_is_total) unit.current = unit.total;
    for (std::size_t i = 0; i < unit.parameters.size(); ++i) {
        Parameter& p = *unit.parameters[i];
        p.sinks_.resize(unit.total.size());
        // Elsewhere a buffer is another one in each micro-batch, or holds rows of other ranks.
        bool const by_rows = p.spec().by_rows && options_.zero == 0 && unit.current_is_total;
        if (by_rows && !composed(unit.total[0]))
            p.sinks_.front().marks = zeros(p.shape()[0], at::kByte);
        if (options_.zero == 0) p.gradient_ = view_in(unit.total[0], unit.layout, i, p);
    }
    for (std::size_t use = 0; use < unit.total.size() && unit.current_is_total; ++use)
        unit.open_micro_batch(use);
}

at::Tensor ParameterStore::zeros(std::int64_t count, at::ScalarType dtype) const {
    return at::zeros({count}, at::TensorOptions().dtype(dtype).device(options_.device));
}

at::Tensor ParameterStore::zero_state(std::int64_t count) const {
    if (!options_.host_state) return zeros(count, master_dtype());
    return at::zeros({count}, at::TensorOptions().dtype(master_dtype()).pinned_memory(true));
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
        if (units_[i]->name == name) return i;
    throw cluster::InputError("no unit is called " + name);
}

void ParameterStore::for_each_kept(Parameter const& parameter,
                                   std::function<void(Run const&, at::Tensor const&)> const& f) {
    Unit const& unit = *parameter.unit_;
    for (auto const& s : stretches(unit, unit.begin, unit.end)) {
        if (s.parameter != &parameter) continue;
        for_each_run(parameter, s.first, s.count, [&](Run const& run) {
            f(run, unit.master.narrow(0, s.at - unit.begin + run.local - s.first, run.count));
        });
    }
}

void ParameterStore::initialize(Parameter& parameter, std::uint64_t seed) {
    auto const& spec = parameter.spec();
    std::uint64_t const key =
        cluster::philox_key(seed, kInitialPurpose, cluster::xxh3_64(spec.name));
    for_each_kept(parameter, [&](Run const& run, at::Tensor const& values) {
        if (spec.initial == Initial::normal)
            values.copy_(normal_run(key, run.global, run.count, spec.deviation));
        else
            values.fill_(start_of(spec));
    });
}

void ParameterStore::refresh_compute() {
    for (auto& unit : units_)
        if (!std::exchange(unit->copied, false) && unit->compute.defined() &&
            (options_.host_state || unit->has_own_copy()))
            unit->compute.narrow(0, unit->begin, unit->end - unit->begin).copy_(unit->master, true);
}

void ParameterStore::allocate_moments() {
    AllocatingFor const optimizer(MemoryClass::optimizer);
    for (auto& unit : units_) {
        if (!unit->trainable || !unit->owned) continue;
        unit->moment1 = zero_state(unit->end - unit->begin);
        unit->moment2 = zero_state(unit->end - unit->begin);
    }
}

void ParameterStore::allocate_average() {
    AllocatingFor const optimizer(MemoryClass::optimizer);
    for (auto& unit : units_)
        if (unit->trainable && unit->owned) unit->average = zero_state(unit->end - unit->begin);
}

void ParameterStore::begin_step() {
    for (auto& unit : units_) {
        unit->close_micro_batch();
        for (auto* p : unit->parameters)
            for (auto& sink : p->sinks_) sink.holds_sum = false;
        if (unit->current_is_total) continue;
        for (auto& total : unit->total) total.zero_();
    }
}

void ParameterStore::check_all_delivered(std::size_t unit) const {
    for (auto const* p : units_[unit]->parameters)
        for (auto const& sink : p->sinks_)
            if (!sink.written && p->spec().trainable)
                throw cluster::JobError("parameter " + p->spec().name +
                                        " got no gradient in this micro-batch");
}

void ParameterStore::zero_undelivered(std::size_t unit) {
    for (auto* p : units_[unit]->parameters)
        for (auto& sink : p->sinks_)
            if (!sink.holds_sum && sink.gradient.defined()) sink.clear();
}

} // namespace trireme::parallel
