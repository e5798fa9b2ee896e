#include "framework/optimizer/gradient_norm.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>

#include "cluster/gather.hpp"
#include "data/json.hpp"
#include "framework/kernels/adamw.hpp"
#include "framework/model/fused.hpp"
#include "framework/optimizer/row_marks.hpp"
#include "parallel/budgets.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/launches.hpp"
#include "parallel/tensor_buffer.hpp"

namespace trireme::framework::optimizer {

namespace {

std::int64_t blocks_of(std::int64_t elements) {
    std::int64_t const block = parallel::budgets.block;
    return (elements + block - 1) / block;
}

/// Sums of squares of the blocks of all gradients, one launch for as many as it takes.
void square_at_once(std::vector<at::Tensor> const& gradients, at::Tensor const& sums) {
    namespace fused = model::fused;
    constexpr std::size_t kMost = kernels::fused::BlockSquares<float>::kMost;
    std::int64_t done = 0;
    for (std::size_t first = 0; first < gradients.size(); first += kMost) {
        auto const some =
            at::ArrayRef(gradients).slice(first, std::min(kMost, gradients.size() - first));
        std::int64_t blocks = 0;
        for (auto const& g : some) blocks += blocks_of(g.numel());
        at::Tensor const out = sums.narrow(0, done, blocks);
        fused::run_on_sums("trireme::block_squares", some[0], {some, {out}}, [&]<typename S>(S) {
            kernels::fused::BlockSquares<S> program{parallel::budgets.block,
                                                    fused::numbers<double>(out)};
            for (auto const& g : some) program.add(fused::numbers<S>(g), g.numel());
            return program;
        });
        done += blocks;
    }
}

void square(at::Tensor const& g, std::optional<kernels::TouchedRows> const& rows,
            at::Tensor const& sums) {
    parallel::note_kernel("trireme::block_squares", {g}, {sums});
    if (g.is_meta()) return; // shapes have no squares
    std::int64_t const block = parallel::budgets.block;
    auto* const out = sums.mutable_data_ptr<double>();
    auto const run = [&]<typename T>(T) {
        if (rows)
            kernels::block_squares(*rows, block, g.const_data_ptr<T>(), out);
        else
            kernels::block_squares(g.numel(), block, g.const_data_ptr<T>(), out);
    };
    g.scalar_type() == at::kDouble ? run(double{}) : run(float{});
}

} // namespace

at::Tensor ordered_sum(at::Tensor const& values) {
    if (parallel::composed(values)) return values.sum();
    if (values.is_meta()) return at::zeros({}, at::kDouble);
    double total = 0;
    auto const* const x = values.const_data_ptr<double>();
    for (std::int64_t i = 0; i < values.numel(); ++i) total += x[i];
    return at::scalar_tensor(total, at::kDouble);
}

/// In order of name and block: this rank's part of every flat buffer, so that no two ranks add the
/// same element.
std::vector<GradientNorm::Part> GradientNorm::own_parts(parallel::ParameterStore const& store) {
    std::vector<Part> parts;
    for (auto const& unit : store.units()) {
        if (!unit->trainable || !unit->owned) continue;
        std::int64_t const part = unit->layout.part_size(),
                           begin = store.options().place.part() * part;
        for (auto const& s : parallel::stretches(*unit, begin, begin + part)) {
            if (s.parameter->counted() && s.parameter->spec().trainable)
                parts.push_back({unit.get(), s, s.first / parallel::budgets.block});
        }
    }
    std::ranges::sort(parts, {}, [](Part const& p) { return std::tie(p.name(), p.first_block); });
    return parts;
}

at::Tensor GradientNorm::own_sums() const {
    std::vector<at::Tensor> gradients;
    std::int64_t blocks = 0;
    for (auto const& part : parts_) {
        auto const& [parameter, first, count, at] = part.stretch;
        gradients.push_back(part.unit->gradient_range(0, at, count));
        blocks += blocks_of(count);
    }
    at::Tensor const sums =
        at::empty({blocks}, at::TensorOptions().dtype(at::kDouble).device(store_.options().device));
    if (gradients.empty()) return sums;
    if (parallel::composed(gradients[0])) {
        square_at_once(gradients, sums);
        return sums;
    }
    std::int64_t done = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        std::int64_t const blocks_here = blocks_of(gradients[i].numel());
        square(gradients[i], touched_rows(parts_[i].stretch), sums.narrow(0, done, blocks_here));
        done += blocks_here;
    }
    return sums;
}

GradientNorm::GradientNorm(parallel::ParameterStore const& store, parallel::Mesh const& mesh)
    : store_(store), mesh_(mesh), parts_(own_parts(store)) {
    if (!store.options().separate_micro_batches) return;
    auto mine = nlohmann::json::array();
    for (auto const& p : parts_)
        mine.push_back({p.name(), store.options().place.tensor_rank, p.first_block,
                        blocks_of(p.stretch.count)});
    struct Place {
        std::string name;
        std::int64_t tensor_rank, first_block;
        Run run;
    };
    std::vector<Place> places;
    std::vector<std::int64_t> counts;
    for (auto const& text : cluster::all_gather_bytes(mesh.world(), mine.dump(), "gradient norm")) {
        std::int64_t& count = counts.emplace_back(0);
        for (auto const& [name, tensor_rank, first_block, blocks] :
             data::parse_json("gradient norm", text)
                 .get<std::vector<
                     std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>>>()) {
            auto const rank = static_cast<std::int64_t>(counts.size()) - 1;
            places.push_back({name, tensor_rank, first_block, {rank, count, blocks}});
            count += blocks;
        }
    }
    most_ = *std::ranges::max_element(counts);
    std::ranges::sort(
        places, {}, [](Place const& p) { return std::tie(p.name, p.tensor_rank, p.first_block); });
    for (auto const& place : places) order_.push_back(place.run);
}

at::Tensor GradientNorm::compute() const {
    at::Tensor const mine = own_sums();
    auto& world = mesh_.world();
    if (!store_.options().separate_micro_batches) {
        at::Tensor const total = ordered_sum(mine);
        parallel::finish(
            world.all_reduce(parallel::buffer_of(total), cluster::ReduceOp::sum, "gradient norm"),
            total);
        return total.sqrt();
    }
    at::Tensor const padded = at::constant_pad_nd(mine, {0, most_ - mine.numel()});
    at::Tensor const all = padded.new_empty({world.size(), most_});
    parallel::finish(
        world.all_gather(parallel::buffer_of(padded), parallel::buffer_of(all), "gradient norm"),
        all);
    std::vector<at::Tensor> ordered;
    for (auto const& run : order_) ordered.push_back(all[run.rank].narrow(0, run.at, run.count));
    return ordered_sum(at::cat(ordered)).sqrt();
}

double gradient_norm(parallel::ParameterStore const& store, parallel::Mesh const& mesh) {
    return GradientNorm(store, mesh).compute().item<double>();
}

at::Tensor clip_scale(at::Tensor const& norm, double clip) {
    at::Tensor const one = at::ones_like(norm);
    return clip > 0 ? at::where(norm > clip, at::full_like(norm, clip) / norm, one) : one;
}

} // namespace trireme::framework::optimizer
