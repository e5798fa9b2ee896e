#include "parallel/layer_split.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <string>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"

namespace trireme::parallel {

namespace {

std::string show(std::vector<int> const& parts) {
    return fmt::format("[{}]", fmt::join(parts, ", "));
}

/// The middle parts take the remainder. If the middle is between two parts, the earlier one: heads
/// cost more than embeddings.
std::vector<int> even_split(int layers, int parts) {
    std::vector<int> split(static_cast<std::size_t>(parts), layers / parts);
    int const rest = layers % parts, first = (parts - rest) / 2;
    for (int p = first; p < first + rest; ++p) ++split[static_cast<std::size_t>(p)];
    return split;
}

std::string pipeline_equation(int stages, int chunks) {
    return fmt::format("pipeline {} x virtual_stages {} = {}", stages, chunks, stages * chunks);
}

/// The layouts on either side of what was asked for: the most virtual stages on as many stages, or
/// the most stages.
std::string nearest_pipelines(int layers, int stages, int chunks) {
    std::string text;
    if (stages <= layers) text = pipeline_equation(stages, layers / stages);
    if (chunks <= layers && chunks != layers / stages)
        text += (text.empty() ? "" : ", or ") + pipeline_equation(layers / chunks, chunks);
    return text.empty() ? pipeline_equation(layers, 1) : text;
}

/// The given list with layers added to its smallest parts or taken from its largest until the sum
/// is right.
std::vector<int> repaired(std::vector<int> parts, int layers) {
    for (int sum = std::accumulate(parts.begin(), parts.end(), 0); sum != layers;
         sum += sum < layers ? 1 : -1) {
        if (sum < layers)
            ++*std::ranges::min_element(parts);
        else
            --*std::ranges::max_element(parts);
    }
    return parts;
}

/// The end parts have work without a layer: the embedding, the head.
bool each_part_has_work(std::vector<int> const& given) {
    for (std::size_t p = 0; p < given.size(); ++p) {
        bool const end = given.size() > 1 && (p == 0 || p + 1 == given.size());
        if (given[p] < (end ? 0 : 1)) return false;
    }
    return true;
}

[[noreturn]] void refuse(std::vector<int> const& given, std::string const& fault,
                         std::vector<int> const& nearest) {
    throw cluster::InputError(fmt::format("parallel.layers_of_parts: {}: {}; legal: {}",
                                          show(given), fault, show(nearest)));
}

} // namespace

static void check_parts(std::vector<int> const& given, std::vector<int> const& even,
                        std::string const& parts) {
    if (given.size() != even.size())
        refuse(given, fmt::format("{} entries, but {} parts", given.size(), parts), even);
    if (!each_part_has_work(given))
        refuse(given,
               "a part between the first and the last has no layer, or one has less than none",
               even);
}

std::vector<int> layers_of_parts(int layers, int stages, int chunks,
                                 std::vector<int> const& given) {
    int const parts = stages * chunks;
    if (parts > layers)
        throw cluster::InputError(fmt::format("parallel: {} parts, but the model has {}; legal: {}",
                                              pipeline_equation(stages, chunks),
                                              cluster::counted(layers, "layer"),
                                              nearest_pipelines(layers, stages, chunks)));
    auto const even = even_split(layers, parts);
    if (given.empty()) return even;
    check_parts(given, even, pipeline_equation(stages, chunks));
    int const sum = std::accumulate(given.begin(), given.end(), 0);
    if (sum != layers)
        refuse(given,
               fmt::format("{} = {}, but the model has {}", fmt::join(given, " + "), sum,
                           cluster::counted(layers, "layer")),
               repaired(given, layers));
    return given;
}

} // namespace trireme::parallel
