// Hypotheses that say where a forward or a backward pass goes wrong, where none says why.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"
#include "framework/parity/hypotheses.hpp"
#include "framework/parity/where.hpp"
#include "parallel/micro_batch_ranks.hpp"
#include "parallel/tensor_cut.hpp"

namespace trireme::framework::parity {

namespace {

/// A sample and where it lies in the layout.
struct Place {
    std::int64_t sample = 0, length = 0;
    std::size_t micro_batch = 0;
    bool first = false, last = false; ///< in its micro-batch
    /// reaches beyond the first tensor rank's stretch of the sequence
    bool crosses = false;
    std::set<std::int32_t> tokens; ///< those that anything is predicted from
};

std::vector<Place> places_of(Problem const& problem, Layout const& layout,
                             data::StepPlan const& plan) {
    std::vector<Place> places;
    int const t = layout.parallel.tensor;
    for (std::size_t s = 0; s < plan.micro_batches.size(); ++s) {
        auto const micro_batch = problem.data->read(plan.micro_batches[s], t);
        std::size_t const count = plan.micro_batches[s].size();
        for (std::size_t i = 0; i < count; ++i) {
            auto const begin = micro_batch.offsets[i], end = micro_batch.offsets[i + 1];
            // its loss is nothing, right or wrong
            if (problem.data->trained(plan.micro_batches[s][i]) == 0) continue;
            Place place{plan.micro_batches[s][i],
                        end - begin,
                        s,
                        i == 0,
                        i + 1 == count,
                        end > micro_batch.token_count() / t,
                        {}};
            place.tokens.insert(micro_batch.tokens.begin() + begin,
                                micro_batch.tokens.begin() + end - problem.model.causal);
            places.push_back(std::move(place));
        }
    }
    return places;
}

/// Something that a sample may have, and what it is in words: "that contain token 51".
struct Property {
    std::string text;
    std::function<bool(Place const&)> holds;
    std::vector<std::string> parameters = {};
};

std::vector<Property> properties_of(Case const& c, std::vector<Place> const& places) {
    auto const& problem = c.lab.problem();
    auto const& layout = c.specimen.layout;
    std::vector<Property> all;
    std::string const table = model::embedding_names(problem.model).tokens;
    std::set<std::int32_t> firsts, lasts; // a range that is off by one is off at its ends
    for (int r = 0; r < layout.parallel.tensor && layout.parallel.tensor > 1; ++r) {
        auto const slice = parallel::slice_of(c.lab.spec(table).cut, problem.model.vocabulary,
                                              layout.parallel.tensor, r);
        firsts.insert(static_cast<std::int32_t>(slice.first));
        lasts.insert(static_cast<std::int32_t>(slice.first + slice.real - 1));
    }
    for (auto const& [ends, which] : {std::pair{firsts, "first"}, {lasts, "last"}})
        all.push_back({fmt::format("that contain one of the tokens {}: the {} rows of what tensor "
                                   "ranks hold of the table",
                                   fmt::join(ends, ", "), which),
                       [ends](Place const& p) {
                           return std::ranges::any_of(
                               ends, [&](auto token) { return p.tokens.contains(token); });
                       },
                       {table}});
    all.push_back(
        {"that are not the first of their micro-batch", [](Place const& p) { return !p.first; }});
    all.push_back(
        {"that are the last of their micro-batch", [](Place const& p) { return p.last; }});
    all.push_back({"that reach beyond the first tensor rank's stretch of the sequence",
                   [](Place const& p) { return p.crosses; }});
    for (int r = 0; r < layout.data() && layout.data() > 1; ++r) {
        auto const rank = [d = layout.data()](Place const& p) {
            return parallel::data_rank_of(static_cast<int>(p.micro_batch), d);
        };
        all.push_back(
            {fmt::format("of data rank {}", r), [=](Place const& p) { return rank(p) == r; }});
        all.push_back({fmt::format("of data ranks from {} on", r),
                       [=](Place const& p) { return rank(p) >= r; }});
    }
    std::set<std::int64_t> lengths;
    std::set<std::int32_t> tokens;
    for (auto const& p : places)
        lengths.insert(p.length), tokens.insert(p.tokens.begin(), p.tokens.end());
    for (auto const length : lengths)
        all.push_back({fmt::format("of {} tokens or more", length),
                       [=](Place const& p) { return p.length >= length; }});
    for (auto const token : tokens)
        all.push_back({fmt::format("that contain token {}", token),
                       [=](Place const& p) { return p.tokens.contains(token); },
                       {table}});
    return all;
}

} // namespace

std::optional<Cause> samples_apart(Case const& c) {
    if (!c.specimen.wrong("loss of step 1")) return {};
    auto const losses = c.lab.sample_losses(c.specimen.layout);
    std::set<std::int64_t> wrong;
    for (auto const& [sample, exact] : losses.exact) {
        auto const found = losses.found.find(sample);
        if (found == losses.found.end() || !near(found->second, exact, 10 * closeness(c)))
            wrong.insert(sample);
    }
    auto const places = places_of(c.lab.problem(), c.specimen.layout, losses.plan);
    if (wrong.empty() || wrong.size() == places.size()) return {};
    for (auto const& property : properties_of(c, places)) {
        auto const fits = [&](Place const& p) {
            return property.holds(p) == wrong.contains(p.sample);
        };
        if (!std::ranges::all_of(places, fits)) continue;
        return Cause{
            "samples", fmt::format("the forward pass is wrong for samples {}", property.text),
            fmt::format("without dropout the losses of {} of {} samples are wrong: exactly these",
                        wrong.size(), places.size()),
            property.parameters, kLikely};
    }
    return {};
}

std::optional<Cause> loss_value(Case const& c) {
    if (!c.wrong.empty() || !c.specimen.wrong("loss of step 1")) return {};
    return Cause{
        "loss-value",
        "the loss that is reported is wrong, and what is trained is right",
        fmt::format("the first loss is {:.7f}, the reference's {:.7f}; all gradients agree",
                    first_loss(c), c.lab.exact().losses.at(0)),
        {},
        kLikely};
}

std::optional<Cause> forward_pass(Case const& c) {
    if (c.wrong.empty() || !c.specimen.wrong("loss of step 1")) return {};
    auto const& model = c.lab.problem().model;
    std::vector<std::string> attention, scores, feed_forward;
    auto const add = [](std::vector<std::string>& names, model::LinearNames const& linear) {
        for (auto const& name : {linear.weight, linear.bias})
            if (!name.empty()) names.push_back(name);
    };
    for (std::int64_t i = 0; i < model.layers; ++i) {
        auto const layer = model::layer_names(model, i);
        add(attention, layer.output);
        add(scores, layer.query);
        add(feed_forward, layer.down);
    }
    auto both = attention;
    both.insert(both.end(), feed_forward.begin(), feed_forward.end());
    auto const agrees = [&](auto const& names) {
        return c.lab.agrees_without(names, c.specimen.layout);
    };
    auto const cause = [&](char const* where, char const* why,
                           std::vector<std::string> const& names) {
        return Cause{"forward", fmt::format("the forward pass goes wrong in {}", where), why, names,
                     0.6};
    };
    if (agrees(std::vector<std::string>{})) return {}; // dropout
    if (!agrees(both))
        return cause("what is outside the blocks' layers: the embeddings, the norms or the head",
                     "the loss is wrong without dropout also where all blocks' outputs are 0", {});
    if (agrees(attention)) {
        if (agrees(scores))
            return cause("the scores of attention: queries, keys, their norms, rotary positions or "
                         "the scale",
                         "the loss agrees without dropout where the queries' weights are 0",
                         scores);
        return cause("attention: its mask, its values or its output",
                     "the loss agrees without dropout where attention's output weights are 0, and "
                     "not where only the "
                     "queries' are",
                     attention);
    }
    if (agrees(feed_forward))
        return cause("the feed-forward layers",
                     "the loss agrees without dropout where their output weights are 0",
                     feed_forward);
    return cause("what attention and the feed-forward layers have in common",
                 "the loss is wrong without dropout where the output weights of either are 0, and "
                 "agrees where both are",
                 both);
}

std::optional<Cause> backward_pass(Case const& c) {
    if (c.wrong.empty() || c.specimen.wrong("loss of step 1")) return {};
    auto const is_wrong = [&](std::string const& name) {
        return std::ranges::find(c.wrong, name) != c.wrong.end();
    };
    if (c.wrong.size() == 1) {
        std::string const where = where_wrong(c.lab.spec(c.wrong[0]), c.specimen.layout,
                                              c.specimen.trace.gradient.at(c.wrong[0]),
                                              c.lab.exact().gradient.at(c.wrong[0]));
        return Cause{"one-gradient",
                     fmt::format("one gradient is wrong, that of {}{}", c.wrong[0], where),
                     "the loss and all other gradients agree", c.wrong, 0.6};
    }
    // right, wrong
    std::map<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>> by_unit;
    std::vector<std::string> units;
    for (auto const& spec : model::parameter_specs(c.lab.problem().model)) {
        if (units.empty() || units.back() != spec.unit) units.push_back(spec.unit);
        auto& [right, wrong] = by_unit[spec.unit];
        (is_wrong(spec.name) ? wrong : right).push_back(spec.name);
    }
    auto const first = std::ranges::find_if(units.rbegin(), units.rend(), [&](auto const& unit) {
        return !by_unit.at(unit).second.empty();
    });
    auto const& [right, wrong] = by_unit.at(*first);
    std::string const before =
        first == units.rbegin()
            ? ""
            : fmt::format(" and all of {}", fmt::join(units.rbegin(), first, ", "));
    return Cause{
        "backward",
        fmt::format("the backward pass goes wrong in {}, on its way back from the loss", *first),
        fmt::format("the loss{} agree{}; in {} the gradients of {} do not{}{}", before,
                    before.empty() ? "s" : "", *first, fmt::join(wrong, ", "),
                    right.empty() ? "" : ", those do of ", fmt::join(right, ", ")),
        wrong, 0.5};
}

} // namespace trireme::framework::parity
