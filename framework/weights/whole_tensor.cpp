#include "framework/weights/whole_tensor.hpp"

#include <algorithm>
#include <cstring>

#include "cluster/error.hpp"
#include "cluster/gather.hpp"

namespace trireme::framework::weights {

namespace {

/// Elements [from, from + count) of the unit's flat buffer.
at::Tensor range_of(parallel::Unit const& unit, Kept what, std::int64_t from, std::int64_t count) {
    switch (what) {
    case Kept::weight: return unit.master.narrow(0, from - unit.begin, count);
    case Kept::gradient: return unit.gradient_range(0, from, count);
    case Kept::moment1: return unit.moment1.narrow(0, from - unit.begin, count);
    case Kept::moment2: return unit.moment2.narrow(0, from - unit.begin, count);
    case Kept::average: return unit.average.narrow(0, from - unit.begin, count);
    }
    return {};
}

using Visit = std::function<void(parallel::Run const&, at::Tensor const&)>;

void for_each_in(parallel::Parameter const& parameter, Kept what, std::int64_t begin,
                 std::int64_t end, Visit const& f) {
    auto const& unit = parameter.unit();
    for (auto const& s : parallel::stretches(unit, begin, end)) {
        if (s.parameter != &parameter) continue;
        parallel::for_each_run(parameter, s.first, s.count, [&](parallel::Run const& run) {
            f(run, range_of(unit, what, s.at + run.local - s.first, run.count));
        });
    }
}

struct Header {
    std::int64_t first, count;
};

} // namespace

void for_each_answered(parallel::ParameterStore const& store, parallel::Parameter const& parameter,
                       Kept what, Visit const& f) {
    auto const& unit = parameter.unit();
    if (!parameter.counted() || !unit.owned || (what != Kept::weight && !unit.trainable)) return;
    std::int64_t const part = unit.layout.part_size(), begin = store.options().place.part() * part;
    for_each_in(parameter, what, begin, begin + part, f);
}

void for_each_kept(parallel::Parameter const& parameter, Kept what, Visit const& f) {
    auto const& unit = parameter.unit();
    if (what != Kept::weight && (!unit.owned || !unit.trainable)) return;
    for_each_in(parameter, what, unit.begin, unit.end, f);
}

void put_whole(parallel::Parameter const& parameter, Kept what, at::Tensor const& whole) {
    if (whole.sizes() != at::IntArrayRef(parameter.spec().shape))
        throw cluster::JobError("tensor " + parameter.spec().name +
                                ": what is put into it has another shape");
    at::Tensor const flat = whole.flatten();
    for_each_kept(parameter, what, [&](parallel::Run const& run, at::Tensor const& values) {
        values.copy_(flat.narrow(0, run.global, run.count));
    });
}

/// Lists the elements that this rank answers for, run by run with a header each.
static std::string own_runs(parallel::ParameterSpec const& spec,
                            parallel::ParameterStore const& store, Kept what,
                            std::int64_t element) {
    std::string mine;
    if (store.contains(spec.name))
        for_each_answered(store, store.at(spec.name), what,
                          [&](parallel::Run const& run, at::Tensor const& kept) {
                              at::Tensor const values = kept.cpu();
                              Header const header{run.global, run.count};
                              mine.append(reinterpret_cast<char const*>(&header), sizeof header);
                              mine.append(static_cast<char const*>(values.const_data_ptr()),
                                          static_cast<std::size_t>(run.count * element));
                          });
    return mine;
}

/// Copies the runs that a rank sent to their places in `out`. Returns the number of elements.
static std::int64_t copy_runs(std::string const& runs, std::int64_t element, char* out) {
    std::int64_t met = 0;
    for (std::size_t at = 0; at < runs.size();) {
        Header header{};
        std::memcpy(&header, runs.data() + at, sizeof header);
        auto const bytes = static_cast<std::size_t>(header.count * element);
        std::memcpy(out + header.first * element, runs.data() + at + sizeof header, bytes);
        met += header.count;
        at += sizeof header + bytes;
    }
    return met;
}

at::Tensor whole_tensor(parallel::ParameterSpec const& spec, parallel::ParameterStore const& store,
                        parallel::Mesh const& mesh, Kept what) {
    at::Tensor const whole = at::empty(spec.shape, at::TensorOptions().dtype(store.master_dtype()));
    auto const element = static_cast<std::int64_t>(whole.element_size());
    std::string const mine = own_runs(spec, store, what, element);
    std::int64_t met = 0;
    auto* const out = static_cast<char*>(whole.mutable_data_ptr());
    for (auto const& part : cluster::all_gather_bytes(mesh.world(), mine, "whole/" + spec.name))
        met += copy_runs(part, element, out);
    if (met != whole.numel())
        throw cluster::JobError("tensor " + spec.name + ": the ranks keep " + std::to_string(met) +
                                " of its " + std::to_string(whole.numel()) + " elements");
    return whole;
}

} // namespace trireme::framework::weights
