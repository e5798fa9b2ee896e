#include "framework/checkpoint/compare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "framework/checkpoint/pieces.hpp"

namespace trireme::framework::checkpoint {

namespace {

using nlohmann::json;

std::string name_of(Tensor const& t) {
    return t.kind + "/" + t.name;
}

std::string form_of(Tensor const& t) {
    return fmt::format("{} [{}]", t.dtype, fmt::join(t.shape, ", "));
}

/// Sums of squares over the elements seen so far.
struct Squares {
    double a = 0, difference = 0;
};

template <typename T>
void compare_element(T const& x, T const& y, TensorDifference& d, Squares& squares) {
    squares.a += static_cast<double>(x) * static_cast<double>(x);
    if (std::memcmp(&x, &y, sizeof(T)) == 0) return;
    ++d.unequal;
    double const difference = std::abs(static_cast<double>(x) - static_cast<double>(y));
    // once NaN, always NaN
    if (!(difference <= d.largest) && !std::isnan(d.largest)) d.largest = difference;
    squares.difference += difference * difference;
}

template <typename T>
TensorDifference compare_as(Reader const& a, Tensor const& in_a, Reader const& b,
                            Tensor const& in_b) {
    TensorDifference d{.tensor = name_of(in_a), .elements = storage::elements_of(in_a.shape)};
    Squares squares;
    std::int64_t const at_a_time = pieces.compared;
    for (std::int64_t first = 0; first < d.elements; first += at_a_time) {
        auto const n = static_cast<std::size_t>(std::min(at_a_time, d.elements - first));
        std::vector<T> x(n), y(n);
        a.read(in_a, first, static_cast<std::int64_t>(n), x.data());
        b.read(in_b, first, static_cast<std::int64_t>(n), y.data());
        for (std::size_t i = 0; i < n; ++i) compare_element(x[i], y[i], d, squares);
    }
    if (d.unequal > 0)
        d.relative = squares.difference == 0 ? 0
                     : squares.a == 0        ? std::numeric_limits<double>::infinity()
                                             : std::sqrt(squares.difference / squares.a);
    return d;
}

TensorDifference compare_tensors(Reader const& a, Tensor const& in_a, Reader const& b,
                                 Tensor const& in_b) {
    if (in_a.dtype != in_b.dtype || in_a.shape != in_b.shape)
        return {.tensor = name_of(in_a), .what = form_of(in_a) + " -> " + form_of(in_b)};
    return in_a.dtype == "f64" ? compare_as<double>(a, in_a, b, in_b)
                               : compare_as<float>(a, in_a, b, in_b);
}

/// Returns the lines of a text without their indentation.
std::multiset<std::string> lines_of(std::string const& text) {
    std::multiset<std::string> all;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t const end = std::min(text.find('\n', at), text.size());
        std::string_view const line = std::string_view(text).substr(at, end - at);
        all.emplace(line.substr(std::min(line.find_first_not_of(' '), line.size())));
        at = end + 1;
    }
    return all;
}

/// Lines of a text that are in one of the two only: a configuration has one value a line.
void text_differences(std::string const& path, std::string const& a, std::string const& b,
                      std::vector<std::string>& out) {
    auto const in_a = lines_of(a), in_b = lines_of(b);
    std::vector<std::string> gone, made;
    std::ranges::set_difference(in_a, in_b, std::back_inserter(gone));
    std::ranges::set_difference(in_b, in_a, std::back_inserter(made));
    for (auto const& line : gone)
        out.push_back(fmt::format("{}: only in the first: {}", path, line));
    for (auto const& line : made)
        out.push_back(fmt::format("{}: only in the second: {}", path, line));
}

/// Lists longer than this are told by their lengths.
constexpr std::size_t kShownEntries = 64;

std::string shown(json const& value) {
    if (value.is_null()) return "nothing";
    return value.is_array() && value.size() > kShownEntries
               ? fmt::format("a list of {}", value.size())
               : value.dump();
}

std::string list_difference(json const& a, json const& b) {
    std::size_t unequal = 0;
    for (std::size_t i = 0; i < a.size(); ++i) unequal += a[i] != b[i];
    return fmt::format("{} of {} entries differ", unequal, a.size());
}

void differences_below(std::string const& path, json const& a, json const& b,
                       std::vector<std::string>& out) {
    if (a == b) return;
    if (a.is_object() && b.is_object()) {
        std::set<std::string> keys;
        for (auto const* side : {&a, &b})
            for (auto const& [key, value] : side->items()) keys.insert(key);
        for (auto const& key : keys)
            differences_below(path.empty() ? key : path + "/" + key, a.value(key, json()),
                              b.value(key, json()), out);
    } else if (a.is_string() && b.is_string() &&
               a.get<std::string>().find('\n') != std::string::npos) {
        text_differences(path, a.get<std::string>(), b.get<std::string>(), out);
    } else if (a.is_array() && a.size() > kShownEntries && b.is_array() && a.size() == b.size()) {
        out.push_back(path + ": " + list_difference(a, b));
    } else {
        out.push_back(fmt::format("{}: {} -> {}", path, shown(a), shown(b)));
    }
}

} // namespace

std::vector<std::string> state_differences(json const& a, json const& b) {
    std::vector<std::string> out;
    differences_below("", a, b, out);
    return out;
}

static void compare_all_tensors(Reader const& a, Reader const& b, Difference& all) {
    for (auto const& in_a : a.manifest().tensors) {
        auto const* in_b = b.manifest().find(in_a.kind, in_a.name);
        TensorDifference d =
            in_b ? compare_tensors(a, in_a, b, *in_b)
                 : TensorDifference{.tensor = name_of(in_a), .what = "only in the first"};
        if (d.what.empty() && d.unequal == 0)
            ++all.equal_tensors;
        else
            all.tensors.push_back(std::move(d));
    }
    for (auto const& in_b : b.manifest().tensors)
        if (!a.manifest().find(in_b.kind, in_b.name))
            all.tensors.push_back({.tensor = name_of(in_b), .what = "only in the second"});
}

Difference compare(Reader const& a, Reader const& b) {
    Difference all;
    compare_all_tensors(a, b, all);
    // The trajectory is a part of the configuration; when it was saved says nothing of what was
    // saved.
    json state_a = a.manifest().state, state_b = b.manifest().state;
    for (auto* state : {&state_a, &state_b})
        for (char const* key : {"trajectory", "saved_at"}) state->erase(key);
    all.state = state_differences(state_a, state_b);
    return all;
}

} // namespace trireme::framework::checkpoint
