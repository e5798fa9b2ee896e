#include "framework/optimizer/gradient_norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <tuple>

#include "cluster/gather.hpp"
#include "framework/kernels/adamw.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/planted.hpp"

namespace trireme::framework {

namespace {

/// Sums of squares of consecutive canonical blocks of one rank's slice of a tensor.
struct BlockSums {
    std::string name;
    std::int64_t tensor_rank, first_block;
    std::vector<double> sums;
};

std::vector<double> squares(at::Tensor const& g) {
    std::vector<double> sums(static_cast<std::size_t>((g.numel() + parallel::kBlock - 1) / parallel::kBlock));
    if (g.scalar_type() == at::kDouble)
        kernels::block_squares(g.numel(), parallel::kBlock, g.const_data_ptr<double>(), sums.data());
    else
        kernels::block_squares(g.numel(), parallel::kBlock, g.const_data_ptr<float>(), sums.data());
    return sums;
}

/// The same on a GPU, where they stay: float64 [blocks].
at::Tensor squares_there(at::Tensor const& g) {
    std::int64_t const whole = g.numel() / parallel::kBlock * parallel::kBlock;
    std::vector<at::Tensor> norms;
    if (whole > 0)
        norms.push_back(at::linalg_vector_norm(g.narrow(0, 0, whole).view({-1, parallel::kBlock}), 2,
                                               at::IntArrayRef{1}, false, at::kDouble));
    if (whole < g.numel())
        norms.push_back(
            at::linalg_vector_norm(g.narrow(0, whole, g.numel() - whole), 2, std::nullopt, false, at::kDouble)
                .view({1}));
    return at::cat(norms).square_();
}

/// One copy for the sums of all stretches.
void read_back(std::vector<at::Tensor> const& there, std::vector<BlockSums>& all) {
    if (there.empty()) return;
    at::Tensor const here = at::cat(there).cpu();
    auto const* next = here.const_data_ptr<double>();
    for (std::size_t i = 0; i < there.size(); ++i) {
        all[i].sums.assign(next, next + there[i].numel());
        next += there[i].numel();
    }
}

/// What this rank adds: its part of every flat buffer, so that no two ranks add the same element.
std::vector<BlockSums> own_sums(parallel::ParameterStore const& store) {
    std::vector<BlockSums> all;
    std::vector<at::Tensor> there;
    auto const& place = store.options().place;
    for (auto const& unit : store.units()) {
        if (!unit->trainable || !unit->owned) continue;
        std::int64_t const part = unit->layout.part_size(), begin = place.part() * part;
        bool const all_copies = parallel::planted::is(parallel::planted::Bug::norm_counts_replicas);
        for (auto const& s : parallel::stretches(*unit, begin, begin + part)) {
            if ((!s.parameter->counted() && !all_copies) || !s.parameter->spec().trainable) continue;
            at::Tensor const range = unit->gradient_range(0, s.at, s.count);
            bool const composed = parallel::composed(range);
            all.push_back({s.parameter->spec().name, place.tensor_rank, s.first / parallel::kBlock,
                           composed ? std::vector<double>{} : squares(range)});
            if (composed) there.push_back(squares_there(range));
        }
    }
    read_back(there, all);
    return all;
}

double sum_in_order(std::vector<BlockSums> all) {
    std::ranges::sort(all, {}, [](auto const& s) { return std::tie(s.name, s.tensor_rank, s.first_block); });
    double total = 0;
    for (auto const& s : all)
        for (double const x : s.sums) total += x;
    return total;
}

void append(std::string& bytes, void const* data, std::size_t size) {
    bytes.append(static_cast<char const*>(data), size);
}

std::string pack(std::vector<BlockSums> const& all) {
    std::string bytes;
    for (auto const& s : all) {
        std::int64_t const head[] = {static_cast<std::int64_t>(s.name.size()), s.tensor_rank, s.first_block,
                                     static_cast<std::int64_t>(s.sums.size())};
        append(bytes, head, sizeof head);
        append(bytes, s.name.data(), s.name.size());
        append(bytes, s.sums.data(), s.sums.size() * sizeof(double));
    }
    return bytes;
}

void unpack(std::string const& bytes, std::vector<BlockSums>& all) {
    for (std::size_t at = 0; at < bytes.size();) {
        std::int64_t head[4];
        std::memcpy(head, bytes.data() + at, sizeof head);
        at += sizeof head;
        BlockSums s{bytes.substr(at, static_cast<std::size_t>(head[0])), head[1], head[2], {}};
        at += s.name.size();
        s.sums.resize(static_cast<std::size_t>(head[3]));
        std::memcpy(s.sums.data(), bytes.data() + at, s.sums.size() * sizeof(double));
        at += s.sums.size() * sizeof(double);
        all.push_back(std::move(s));
    }
}

} // namespace

double gradient_norm(parallel::ParameterStore const& store, parallel::Mesh const& mesh) {
    auto const mine = own_sums(store);
    if (!store.options().separate_slots) {
        double total = sum_in_order(mine);
        mesh.world().all_reduce({&total, 1, cluster::DType::f64}, cluster::ReduceOp::sum, "gradient norm").wait();
        return std::sqrt(total);
    }
    std::vector<BlockSums> all;
    for (auto const& bytes : cluster::all_gather_bytes(mesh.world(), pack(mine), "gradient norm")) unpack(bytes, all);
    return std::sqrt(sum_in_order(std::move(all)));
}

} // namespace trireme::framework
