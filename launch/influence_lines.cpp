#include "launch/influence_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "cluster/error.hpp"
#include "launch/shown_progress.hpp"

namespace trireme::launch {

using Json = nlohmann::ordered_json;

namespace {

/// Compares a sample's gradient with that of the text. The last layer is compared by cosines
/// alone, which are its similarities: then `cosines` is empty.
struct Common {
    float similarity;
    std::span<float const> cosines; ///< of all samples
};

Json sample_line(data::Dataset const& set, std::int64_t sample, Common const& common,
                 TextService& service) {
    Json line{{"sample", sample}, {"similarity", common.similarity}};
    if (!common.cosines.empty()) line["cosine"] = common.cosines[static_cast<std::size_t>(sample)];
    if (auto const source = set.source(sample); !source.empty()) line["source"] = source;
    if (auto const label = set.class_of(sample); label >= 0)
        line["label"] = set.label_names().at(static_cast<std::size_t>(label));
    auto const tokens = nlohmann::json::array({set.read({sample}, 1).tokens});
    line["text"] = service.ask({{"decode", tokens}}).at("texts").at(0);
    return line;
}

/// The `most` samples with the highest and the lowest similarities, the strongest first; only those
/// above zero help, and only those below harm. `cosines` stand beside them unless there are none.
Json strongest(std::span<float const> of_samples, std::span<float const> cosines, std::int64_t most,
               data::Dataset const& set, TextService& service) {
    std::vector<std::int64_t> order(of_samples.size());
    std::iota(order.begin(), order.end(), 0);
    auto const similarity = [&](std::int64_t i) { return of_samples[static_cast<std::size_t>(i)]; };
    std::ranges::stable_sort(order, std::greater(), similarity);
    auto const line_of = [&](std::int64_t i) {
        return sample_line(set, i, {similarity(i), cosines}, service);
    };
    Json found{{"helpful", Json::array()}, {"harmful", Json::array()}};
    auto const count = std::min<std::int64_t>(most, std::ssize(order));
    for (std::int64_t k = 0; k < count; ++k) {
        auto const best = order[static_cast<std::size_t>(k)],
                   worst = order[order.size() - 1 - static_cast<std::size_t>(k)];
        if (similarity(best) > 0) found["helpful"].push_back(line_of(best));
        if (similarity(worst) < 0) found["harmful"].push_back(line_of(worst));
    }
    return found;
}

std::span<float const> row_of(std::vector<float> const& all, std::size_t row, std::int64_t length) {
    auto const samples = static_cast<std::size_t>(length);
    return std::span(all).subspan(row * samples, samples);
}

} // namespace

void check_influence(AttributionRequest const& r, framework::jobs::AttributedModel const& model) {
    if (model.task().kind == data::TaskKind::classification || model.is_language_model()) return;
    throw cluster::InputError(
        fmt::format("--influence: {}: legal with a classifier or a language model; {} is one of {}",
                    r.influence, model.folder(), model.task().name));
}

void add_influence(AttributionRequest const& r,
                   std::vector<framework::jobs::AttributedText> const& texts,
                   std::vector<std::int32_t> const& targets, std::vector<Json>& lines,
                   TextService* service, cluster::Communicator& world) {
    framework::jobs::Influences const influences(
        {r.model, r.influence, r.split, r.job.set, r.language_model}, world);
    auto const found = influences.similarities(texts, targets, ShownProgress("compared"));
    if (world.rank() != 0) return;
    auto const& set = influences.set();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        auto const row = [&](auto const& all) { return row_of(all, i, set.size()); };
        auto& influence = lines[i]["influence"] = Json::object();
        if (!r.language_model)
            influence["head"] = strongest(row(found.head), {}, r.top, set, *service);
        influence["projected"] =
            strongest(row(found.influence), row(found.cosine), r.top, set, *service);
    }
}

} // namespace trireme::launch
