#include "framework/weights/snapshot.hpp"

#include <ATen/core/grad_mode.h>

namespace trireme::framework::weights {

at::Tensor const& flat_of(parallel::Unit const& unit, std::string_view kind) {
    if (kind == "average") return unit.average;
    return kind == "weight" ? unit.master : kind == "moment1" ? unit.moment1 : unit.moment2;
}

storage::LocalBlock block_of(parallel::Parameter const& p) {
    return {p.spec().shape, p.shape(), p.spec().cut.dim, p.slice().first, p.slice().real};
}

at::Tensor pick(parallel::Parameter const& p, storage::Rectangle const& local, std::int64_t first,
                at::Tensor const& values) {
    std::int64_t const width = p.shape().back(),
                       rows = local.count.size() == 2 ? local.count[0] : 1,
                       row = local.count.size() == 2 ? local.start[0] : 0;
    return values.as_strided({rows, local.count.back()}, {width, 1},
                             values.storage_offset() + row * width + local.start.back() - first);
}

std::int64_t Snapshot::bytes_of_copies(parallel::ParameterStore const& store) {
    std::int64_t elements = 0;
    for (auto const* kind : kStateKinds)
        for (auto const& unit : store.units())
            if (unit->owned && flat_of(*unit, kind).defined()) elements += unit->layout.part_size();
    return elements * static_cast<std::int64_t>(at::elementSize(store.master_dtype()));
}

at::Tensor Snapshot::hold(at::Tensor const& values) {
    if (!copies_) return held_.emplace_back(values.cpu().contiguous());
    at::Tensor const place = buffer_.narrow(0, used_, values.numel()).view(values.sizes());
    place.copy_(values);
    used_ += values.numel();
    return place;
}

void Snapshot::reset() {
    held_.clear();
    used_ = 0;
    auto const dtype = store_.master_dtype();
    if (copies_ && !buffer_.defined())
        buffer_ =
            at::empty({bytes_of_copies(store_) / static_cast<std::int64_t>(at::elementSize(dtype))},
                      at::TensorOptions().dtype(dtype));
}

std::vector<checkpoint::OwnedRange::Piece> Snapshot::pieces_of(parallel::Stretch const& s,
                                                               at::Tensor const& values) {
    std::vector<checkpoint::OwnedRange::Piece> pieces;
    for (auto const& patch : storage::patches_of(block_of(*s.parameter), s.first, s.count))
        pieces.push_back({patch.global,
                          hold(pick(*s.parameter, patch.local, s.first, values)).const_data_ptr()});
    return pieces;
}

std::vector<checkpoint::OwnedRange> Snapshot::take() {
    at::NoGradGuard const no_graph;
    reset();
    std::string const dtype = store_.master_dtype() == at::kDouble ? "f64" : "f32";
    std::vector<checkpoint::OwnedRange> ranges;
    for (auto const* kind : kStateKinds)
        for (auto const& unit : store_.units()) {
            at::Tensor const& flat = flat_of(*unit, kind);
            if (!flat.defined() || !unit->owned) continue;
            std::int64_t const part = unit->layout.part_size(),
                               begin = store_.options().place.part() * part;
            for (auto const& s : parallel::stretches(*unit, begin, begin + part)) {
                if (!s.parameter->counted()) continue;
                auto const& spec = s.parameter->spec();
                at::Tensor const values = flat.narrow(0, s.at - unit->begin, s.count);
                ranges.push_back({kind, spec.name, dtype, spec.shape, pieces_of(s, values)});
            }
        }
    return ranges;
}

} // namespace trireme::framework::weights
