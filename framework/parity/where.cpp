#include "framework/parity/where.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "parallel/tensor_cut.hpp"

namespace trireme::framework::parity {

namespace {

struct Range {
    std::int64_t first = 0, last = 0;
    bool operator==(Range const&) const = default;
};

/// Returns the range of the indices that are true, if they are one range.
std::optional<Range> one_range(at::Tensor const& wrong) {
    at::Tensor const where = wrong.nonzero().flatten();
    if (where.numel() == 0) return {};
    Range const range{where[0].item<std::int64_t>(), where[-1].item<std::int64_t>()};
    return range.last - range.first + 1 == where.numel() ? std::optional(range) : std::nullopt;
}

std::string in_words(char const* one, Range const& range, std::int64_t extent) {
    if (range.first == range.last) return fmt::format(" in {} {} of {}", one, range.first, extent);
    return fmt::format(" in {}s {} to {} of {}", one, range.first, range.last, extent);
}

/// ", what tensor rank 1 holds", where the range is that of one rank, of all from it on, or the
/// first index it holds.
std::string whose(parallel::ParameterSpec const& spec, Layout const& layout, std::int64_t dim,
                  Range const& range) {
    int const ranks = layout.parallel.tensor;
    if (ranks == 1 || spec.cut.dim != dim) return "";
    std::int64_t const extent = spec.shape[static_cast<std::size_t>(dim)];
    for (int r = 0; r < ranks; ++r) {
        auto const slice = parallel::slice_of(spec.cut, extent, ranks, r);
        if (slice.real == 0 || range.first != slice.first) continue;
        if (range.last == slice.first + slice.real - 1)
            return fmt::format(", what tensor rank {} holds", r);
        if (r > 0 && range.last == extent - 1)
            return fmt::format(", what tensor ranks from {} on hold", r);
        if (r > 0 && range.first == range.last)
            return fmt::format(", the first that tensor rank {} holds", r);
    }
    return "";
}

/// Says in which stretch of dimension `dim` the wrong elements are, or "" if they are everywhere.
std::string where_along(parallel::ParameterSpec const& spec, Layout const& layout,
                        at::Tensor const& wrong, std::int64_t dim) {
    std::int64_t const extent = wrong.size(dim);
    at::Tensor const along = wrong.transpose(0, dim).reshape({extent, -1}).any(1);
    auto const range = one_range(along);
    if (!range || range->last - range->first + 1 == extent) return "";
    std::string text = in_words(wrong.dim() == 1 ? "element"
                                : dim == 0       ? "row"
                                                 : "column",
                                *range, extent);
    text += whose(spec, layout, dim, *range);
    if (dim == 0 && *range == Range{spec.untrained_row, spec.untrained_row})
        text += ", the padding token's, which gets no gradient as an input";
    return text;
}

} // namespace

std::string where_wrong(parallel::ParameterSpec const& spec, Layout const& layout,
                        at::Tensor const& found, at::Tensor const& exact) {
    at::Tensor const off = (found.to(at::kDouble) - exact.to(at::kDouble)).abs();
    double const most = off.max().item<double>();
    if (!(most > 0)) return "";
    at::Tensor const wrong = off > 1e-3 * most;
    std::string text;
    for (std::int64_t dim = 0; dim < wrong.dim(); ++dim)
        text += where_along(spec, layout, wrong, dim);
    if (!text.empty() || wrong.dim() < 2) return text;
    // a shard's part lies anywhere in a row
    at::Tensor const flat = wrong.flatten().nonzero().flatten();
    Range const range{flat[0].item<std::int64_t>(), flat[-1].item<std::int64_t>()};
    if (range.last - range.first + 1 > wrong.numel() * 9 / 10) return "";
    return in_words("element", range, wrong.numel());
}

} // namespace trireme::framework::parity
