#include "framework/pretrained/copy_in.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cluster/error.hpp"
#include "cluster/philox.hpp"
#include "cluster/xxh3.hpp"
#include "framework/pretrained/pieces.hpp"
#include "parallel/normal_numbers.hpp"

namespace trireme::framework::pretrained {

namespace {

constexpr std::uint64_t kAddedPurpose = 0x6164646564ULL; // "added"

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

/// Mean and standard deviation of the columns of a file's rows, added in the order of the rows, so
/// that they have the same bits on every rank.
struct Columns {
    std::vector<double> mean, deviation;
};

/// Adds the values of rows to `sums.mean`, and their squares to `sums.deviation`.
void add_rows(at::Tensor const& rows, Columns& sums) {
    std::size_t const width = sums.mean.size();
    auto const count = static_cast<std::size_t>(rows.numel()) / width;
    auto const* x = rows.const_data_ptr<double>();
    for (std::size_t row = 0; row < count; ++row)
        for (std::size_t c = 0; c < width; ++c, ++x) {
            sums.mean[c] += *x;
            sums.deviation[c] += *x * *x;
        }
}

Columns columns_of(std::string const& name, TensorEntry const& entry) {
    storage::Rectangle part{storage::Shape(entry.shape.size()), entry.shape};
    auto const width = static_cast<std::size_t>(entry.shape.size() == 2 ? entry.shape[1] : 1);
    Columns columns{std::vector<double>(width), std::vector<double>(width)};
    for (std::int64_t const rows = pieces.rows; part.start[0] < entry.shape[0];
         part.start[0] += rows) {
        part.count[0] = std::min(rows, entry.shape[0] - part.start[0]);
        add_rows(read_finite(name, entry, part).to(at::kDouble).contiguous(), columns);
    }
    auto const count = static_cast<double>(entry.shape[0]);
    for (std::size_t c = 0; c < width; ++c) {
        double const mean = columns.mean[c] /= count, square = columns.deviation[c] / count;
        columns.deviation[c] = std::sqrt(std::max(0.0, square - mean * mean));
    }
    return columns;
}

/// Rows of added tokens, in float32: all columns of rows [first, first + count).
at::Tensor new_rows(Columns const& columns, std::string const& name, std::uint64_t seed,
                    std::int64_t first, std::int64_t count) {
    std::uint64_t const key = cluster::philox_key(seed, kAddedPurpose, cluster::xxh3_64(name));
    auto const width = std::ssize(columns.mean);
    double const spread = std::sqrt(1e-9);
    at::Tensor const rows = at::empty({count, width}, at::kFloat);
    auto* out = rows.mutable_data_ptr<float>();
    for (std::int64_t e = first * width; e < (first + count) * width; ++e) {
        auto const c = static_cast<std::size_t>(e % width);
        auto const four =
            parallel::normals(cluster::philox(key, static_cast<std::uint64_t>(e / 4), 0));
        *out++ = static_cast<float>(columns.mean[c] + spread * columns.deviation[c] *
                                                          four[static_cast<std::size_t>(e % 4)]);
    }
    return rows;
}

/// A rectangle of a tensor that has more rows than its file.
at::Tensor read_grown(std::string const& name, TensorEntry const& entry,
                      storage::Rectangle const& rectangle, std::uint64_t seed) {
    std::int64_t const known = std::clamp<std::int64_t>(entry.shape[0] - rectangle.start[0], 0,
                                                        rectangle.count[0]),
                       added = rectangle.count[0] - known;
    std::vector<at::Tensor> parts;
    if (known > 0) {
        auto there = rectangle;
        there.count[0] = known;
        parts.push_back(read_finite(name, entry, there));
    }
    if (added > 0 && entry.shape.size() == 1) parts.push_back(at::zeros({added}, at::kFloat));
    if (added > 0 && entry.shape.size() == 2)
        parts.push_back(
            new_rows(columns_of(name, entry), name, seed, rectangle.start[0] + known, added)
                .narrow(1, rectangle.start[1], rectangle.count[1]));
    return at::cat(parts);
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
             std::vector<std::int64_t> const& rows, std::uint64_t seed,
             parallel::ParameterStore& store) {
    auto const read = [&](storage::Rectangle const& in_file) {
        if (!rows.empty()) return read_rows(name, entry, in_file, rows);
        bool const grown = !tensor.scalar && tensor.shape[0] > entry.shape[0];
        return grown ? read_grown(name, entry, in_file, seed) : read_finite(name, entry, in_file);
    };
    for (auto const& part : tensor.parts) {
        // Once for each parameter; none is on another pipeline stage.
        if (part.from != 0 || !store.contains(part.parameter)) continue;
        auto const& parameter = store.at(part.parameter);
        storage::Rectangle const kept = kept_rectangle(store, parameter);
        if (kept.elements() == 0) continue;
        // Rows of `flat` are those of the parameter from the first kept one, cut to the kept
        // columns.
        at::Tensor const flat = read_kept(tensor, part.parameter, kept, read).flatten();
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
