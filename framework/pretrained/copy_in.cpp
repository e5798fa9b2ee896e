#include "framework/pretrained/copy_in.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "cluster/error.hpp"

namespace trireme::framework::pretrained {

namespace {

/// A part of a tensor's values, as a run may begin with them.
at::Tensor read_finite(std::string const& name, TensorEntry const& entry,
                       storage::Rectangle const& rectangle) {
    at::Tensor values = read_tensor(name, entry, rectangle);
    std::int64_t const wrong = values.numel() - at::isfinite(values).sum().item<std::int64_t>();
    if (wrong)
        throw cluster::InputError(
            fmt::format("{}: {}: {} of its {} values are NaN or infinite; legal: finite numbers",
                        entry.file, name, wrong, values.numel()));
    return values;
}

/// The smallest rectangle of the parameter that holds all that this rank keeps of it.
storage::Rectangle kept_rectangle(parallel::ParameterStore& store,
                                  parallel::Parameter const& parameter) {
    storage::Rectangle r{storage::Shape(parameter.spec().shape.size()), parameter.spec().shape};
    std::int64_t const width = parameter.spec().shape.size() == 2 ? parameter.spec().shape[1] : 1;
    std::int64_t first = parameter.spec().shape[0], last = -1;
    store.for_each_kept(parameter, [&](parallel::Run const& run, at::Tensor const&) {
        first = std::min(first, run.global / width);
        last = std::max(last, (run.global + run.count - 1) / width);
    });
    r.start[0] = std::min(first, last + 1);
    r.count[0] = last + 1 - r.start[0];
    if (parameter.spec().cut.dim == 1) {
        r.start[1] = parameter.slice().first;
        r.count[1] = parameter.slice().real;
    }
    return r;
}

/// Rows of a head, which is small, in another order than the file's.
at::Tensor read_rows(std::string const& name, TensorEntry const& entry,
                     storage::Rectangle const& rectangle, std::vector<std::int64_t> const& rows) {
    storage::Rectangle const whole{storage::Shape(entry.shape.size()), entry.shape};
    at::Tensor values =
        read_finite(name, entry, whole).index_select(0, at::tensor(rows, at::kLong));
    for (std::size_t d = 0; d < rectangle.start.size(); ++d)
        values =
            values.narrow(static_cast<std::int64_t>(d), rectangle.start[d], rectangle.count[d]);
    return values.contiguous();
}

/// Reads of a parameter the `kept` rectangle, from those parts of the tensor that hold it.
at::Tensor read_kept(HfTensor const& tensor, std::string const& parameter,
                     storage::Rectangle const& kept,
                     std::function<at::Tensor(storage::Rectangle const&)> const& read) {
    std::vector<at::Tensor> pieces;
    std::size_t dim = 0;
    for (auto const& part : tensor.parts) {
        if (part.parameter != parameter) continue;
        dim = part.dim;
        std::int64_t const first = std::max(kept.start[dim], part.from),
                           end =
                               std::min(kept.start[dim] + kept.count[dim], part.from + part.count);
        if (end <= first) continue;
        storage::Rectangle in_file = kept;
        in_file.start[dim] = part.first + first - part.from;
        in_file.count[dim] = end - first;
        pieces.push_back(read(in_file));
    }
    return pieces.size() == 1 ? pieces[0] : at::cat(pieces, static_cast<std::int64_t>(dim));
}

} // namespace

void copy_in(HfTensor const& tensor, std::string const& name, TensorEntry const& entry,
             std::vector<std::int64_t> const& rows, parallel::ParameterStore& store) {
    for (auto const& part : tensor.parts) {
        // Once for each parameter; none is on another pipeline stage.
        if (part.from != 0 || !store.contains(part.parameter)) continue;
        auto const& parameter = store.at(part.parameter);
        storage::Rectangle const kept = kept_rectangle(store, parameter);
        if (kept.elements() == 0) continue;
        // Rows of `flat` are those of the parameter from the first kept one, cut to the kept
        // columns.
        at::Tensor const flat =
            read_kept(tensor, part.parameter, kept, [&](storage::Rectangle const& in_file) {
                return rows.empty() ? read_finite(name, entry, in_file)
                                    : read_rows(name, entry, in_file, rows);
            }).flatten();
        bool const matrix = kept.count.size() == 2;
        std::int64_t const width = matrix ? parameter.spec().shape[1] : 1,
                           left = matrix ? kept.start[1] : 0,
                           kept_width = matrix ? kept.count[1] : 1;
        store.for_each_kept(parameter, [&](parallel::Run const& run, at::Tensor const& values) {
            std::int64_t const row = run.global / width - kept.start[0],
                               column = run.global % width - left;
            values.copy_(flat.narrow(0, row * kept_width + column, run.count));
        });
    }
}

} // namespace trireme::framework::pretrained
