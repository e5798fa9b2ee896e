#include "framework/storage/rectangles.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>

#include "cluster/error.hpp"

namespace trireme::framework::storage {

std::int64_t elements_of(Shape const& shape) {
    std::int64_t n = 1;
    for (auto const d : shape) n *= d;
    return n;
}

std::int64_t Rectangle::elements() const {
    return elements_of(count);
}

/// Returns the rectangles of a range of a matrix: the end of a row, whole rows, the begin of a row.
static std::vector<Rectangle> rectangles_of_rows(std::int64_t width, std::int64_t first,
                                                 std::int64_t end) {
    std::vector<Rectangle> out;
    std::int64_t row = first / width;
    if (first % width) {
        std::int64_t const stop = std::min(end, (row + 1) * width);
        out.push_back({{row, first % width}, {1, stop - first}});
        first = stop;
        ++row;
    }
    if (std::int64_t const whole = (end - first) / width; whole > 0) {
        out.push_back({{row, 0}, {whole, width}});
        first += whole * width;
        row += whole;
    }
    if (first < end) out.push_back({{row, 0}, {1, end - first}});
    return out;
}

std::vector<Rectangle> rectangles_of(Shape const& shape, std::int64_t first, std::int64_t count) {
    if (shape.empty() || shape.size() > 2)
        throw cluster::JobError("a checkpoint holds tensors of one or two dimensions");
    if (count == 0) return {};
    if (shape.size() == 1) return {{{first}, {count}}};
    return rectangles_of_rows(shape[1], first, first + count);
}

std::vector<Patch> patches_of(LocalBlock const& block, std::int64_t first, std::int64_t count) {
    std::vector<Patch> patches;
    for (auto local : rectangles_of(block.local, first, count)) {
        Rectangle global = local;
        if (block.dim >= 0) {
            auto const d = static_cast<std::size_t>(block.dim);
            local.count[d] = global.count[d] =
                std::min(local.count[d], block.real - local.start[d]);
            global.start[d] += block.first;
            if (local.count[d] <= 0) continue;
        }
        patches.push_back({global, local});
    }
    return patches;
}

namespace {

namespace {

/// Begin or end of a rectangle, where a line that sweeps over the rows meets it.
struct Event {
    std::int64_t row;
    bool begins; // ends come first in a row
    std::int64_t column, end;
};

std::vector<Event> events_of(std::vector<Rectangle> const& rectangles) {
    std::vector<Event> events;
    for (auto const& r : rectangles) {
        std::int64_t const row = r.start.size() == 2 ? r.start[0] : 0,
                           rows = r.start.size() == 2 ? r.count[0] : 1, column = r.start.back(),
                           end = column + r.count.back();
        events.push_back({row, true, column, end});
        events.push_back({row + rows, false, column, end});
    }
    std::ranges::sort(events, {},
                      [](Event const& e) { return std::tuple(e.row, e.begins, e.column); });
    return events;
}

} // namespace

/// Checks rectangles of one or two dimensions in n log n: a line sweeps over the rows and keeps the
/// columns of those that it crosses, which must lie side by side.
bool disjoint(std::vector<Rectangle> const& rectangles) {
    auto const events = events_of(rectangles);
    std::map<std::int64_t, std::int64_t> crossed; // column to end
    for (auto const& e : events) {
        if (!e.begins) {
            crossed.erase(e.column);
            continue;
        }
        auto const next = crossed.lower_bound(e.column);
        if (next != crossed.end() && next->first < e.end) return false;
        if (next != crossed.begin() && std::prev(next)->second > e.column) return false;
        crossed.emplace_hint(next, e.column, e.end);
    }
    return true;
}

} // namespace

bool cover_exactly(Shape const& shape, std::vector<Rectangle> const& rectangles) {
    std::int64_t total = 0;
    for (auto const& r : rectangles) {
        if (r.start.size() != shape.size() || r.count.size() != shape.size()) return false;
        for (std::size_t d = 0; d < shape.size(); ++d)
            if (r.start[d] < 0 || r.count[d] <= 0 || r.start[d] > shape[d] - r.count[d])
                return false;
        if (__builtin_add_overflow(total, r.elements(), &total)) return false;
    }
    return total == elements_of(shape) && disjoint(rectangles);
}

} // namespace trireme::framework::storage
