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

/// Adds the places of the samples of micro-batch `s` whose loss is something.
void add_places(std::vector<Place>& places, Problem const& problem,
                std::vector<std::int64_t> const& samples, std::size_t s, int tensor_ranks) {
    auto const micro_batch = problem.data->read(samples, tensor_ranks);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (problem.data->trained(samples[i]) == 0) continue;
        auto const begin = micro_batch.offsets[i], end = micro_batch.offsets[i + 1];
        Place place{samples[i],
                    end - begin,
                    s,
                    i == 0,
                    i + 1 == samples.size(),
                    end > micro_batch.token_count() / tensor_ranks,
                    {}};
        place.tokens.insert(micro_batch.tokens.begin() + begin,
                            micro_batch.tokens.begin() + end - problem.model.causal);
        places.push_back(std::move(place));
    }
}

std::vector<Place> places_of(Problem const& problem, Layout const& layout,
                             data::StepPlan const& plan) {
    std::vector<Place> places;
    for (std::size_t s = 0; s < plan.micro_batches.size(); ++s)
        add_places(places, problem, plan.micro_batches[s], s, layout.parallel.tensor);
    return places;
}

/// Something that a sample may have, and what it is in words: "that contain token 51".
struct Property {
    std::string text;
    std::function<bool(Place const&)> holds;
    std::vector<std::string> parameters = {};
};

bool contains_any(Place const& place, std::set<std::int32_t> const& tokens) {
    return std::ranges::any_of(tokens, [&](auto token) { return place.tokens.contains(token); });
}

/// A range that is off by one is off at its ends: tokens there.
std::vector<Property> at_ends_of_slices(Case const& c, std::string const& table) {
    int const ranks = c.specimen.layout.parallel.tensor;
    std::set<std::int32_t> firsts, lasts;
    for (int r = 0; r < ranks && ranks > 1; ++r) {
        auto const slice =
            parallel::slice_of(c.lab.spec(table).cut, c.lab.problem().model.vocabulary, ranks, r);
        firsts.insert(static_cast<std::int32_t>(slice.first));
        lasts.insert(static_cast<std::int32_t>(slice.first + slice.real - 1));
    }
    std::vector<Property> all;
    for (auto const& [ends, which] : {std::pair{firsts, "first"}, {lasts, "last"}})
        all.push_back({fmt::format("that contain one of the tokens {}: the {} rows of what tensor "
                                   "ranks hold of the table",
                                   fmt::join(ends, ", "), which),
                       [ends](Place const& p) { return contains_any(p, ends); },
                       {table}});
    return all;
}

std::vector<Property> on_data_ranks(int ranks) {
    std::vector<Property> all;
    auto const rank = [ranks](Place const& p) {
        return parallel::data_rank_of(static_cast<int>(p.micro_batch), ranks);
    };
    for (int r = 0; r < ranks && ranks > 1; ++r) {
        all.push_back(
            {fmt::format("of data rank {}", r), [=](Place const& p) { return rank(p) == r; }});
        all.push_back({fmt::format("of data ranks from {} on", r),
                       [=](Place const& p) { return rank(p) >= r; }});
    }
    return all;
}

/// Lists properties of the samples' own lengths and tokens, since a mistake may hang on them alone.
std::vector<Property> of_contents(std::vector<Place> const& places, std::string const& table) {
    std::set<std::int64_t> lengths;
    std::set<std::int32_t> tokens;
    for (auto const& p : places)
        lengths.insert(p.length), tokens.insert(p.tokens.begin(), p.tokens.end());
    std::vector<Property> all;
    for (auto const length : lengths)
        all.push_back({fmt::format("of {} tokens or more", length),
                       [=](Place const& p) { return p.length >= length; }});
    for (auto const token : tokens)
        all.push_back({fmt::format("that contain token {}", token),
                       [=](Place const& p) { return p.tokens.contains(token); },
                       {table}});
    return all;
}

std::vector<Property> properties_of(Case const& c, std::vector<Place> const& places) {
    std::string const table = model::embedding_names(c.lab.problem().model).tokens;
    std::vector<Property> all = at_ends_of_slices(c, table);
    all.push_back(
        {"that are not the first of their micro-batch", [](Place const& p) { return !p.first; }});
    all.push_back(
        {"that are the last of their micro-batch", [](Place const& p) { return p.last; }});
    all.push_back({"that reach beyond the first tensor rank's stretch of the sequence",
                   [](Place const& p) { return p.crosses; }});
    for (auto const& more : {on_data_ranks(c.specimen.layout.data()), of_contents(places, table)})
        all.insert(all.end(), more.begin(), more.end());
    return all;
}

/// Returns the samples whose losses without dropout are wrong.
std::set<std::int64_t> wrong_samples(Case const& c, Laboratory::SampleLosses const& losses) {
    std::set<std::int64_t> wrong;
    for (auto const& [sample, exact] : losses.exact) {
        auto const found = losses.found.find(sample);
        if (found == losses.found.end() || !near(found->second, exact, 10 * closeness(c)))
            wrong.insert(sample);
    }
    return wrong;
}

} // namespace

std::optional<Cause> samples_apart(Case const& c) {
    if (!c.specimen.wrong("loss of step 1")) return {};
    auto const losses = c.lab.sample_losses(c.specimen.layout);
    auto const wrong = wrong_samples(c, losses);
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

namespace {

/// Weights of all layers of the model, by what they do.
struct Parts {
    std::vector<std::string> attention, scores, feed_forward, both;
};

Parts parts_of(model::Config const& model) {
    auto const add = [](std::vector<std::string>& names, model::LinearNames const& linear) {
        for (auto const& name : {linear.weight, linear.bias})
            if (!name.empty()) names.push_back(name);
    };
    Parts parts;
    for (std::int64_t i = 0; i < model.layers; ++i) {
        auto const layer = model::layer_names(model, i);
        add(parts.attention, layer.output);
        add(parts.scores, layer.query);
        add(parts.feed_forward, layer.down);
    }
    parts.both = parts.attention;
    parts.both.insert(parts.both.end(), parts.feed_forward.begin(), parts.feed_forward.end());
    return parts;
}

Cause forward_cause(char const* where, char const* why, std::vector<std::string> const& names) {
    return {"forward", fmt::format("the forward pass goes wrong in {}", where), why, names, 0.6};
}

/// Names the part of attention that is wrong, where the loss agrees without attention.
Cause cause_in_attention(Parts const& parts, bool agrees_without_scores) {
    if (agrees_without_scores)
        return forward_cause("the scores of attention: queries, keys, their norms, rotary "
                             "positions or the scale",
                             "the loss agrees without dropout where the queries' weights are 0",
                             parts.scores);
    return forward_cause(
        "attention: its mask, its values or its output",
        "the loss agrees without dropout where attention's output weights are 0, and not where "
        "only the queries' are",
        parts.attention);
}

} // namespace

std::optional<Cause> forward_pass(Case const& c) {
    if (c.wrong.empty() || !c.specimen.wrong("loss of step 1")) return {};
    Parts const parts = parts_of(c.lab.problem().model);
    auto const agrees = [&](auto const& x) { return c.lab.agrees_without(x, c.specimen.layout); };
    if (agrees(std::vector<std::string>{})) return {}; // dropout
    if (!agrees(parts.both))
        return forward_cause(
            "what is outside the blocks' layers: the embeddings, the norms or the head",
            "the loss is wrong without dropout also where all blocks' outputs are 0", {});
    if (agrees(parts.attention)) return cause_in_attention(parts, agrees(parts.scores));
    if (agrees(parts.feed_forward))
        return forward_cause("the feed-forward layers",
                             "the loss agrees without dropout where their output weights are 0",
                             parts.feed_forward);
    return forward_cause("what attention and the feed-forward layers have in common",
                         "the loss is wrong without dropout where the output weights of either are "
                         "0, and agrees where both are",
                         parts.both);
}

namespace {

Cause one_gradient(Case const& c) {
    std::string const& name = c.wrong[0];
    std::string const where =
        where_wrong(c.lab.spec(name), c.specimen.layout, c.specimen.trace.gradient.at(name),
                    c.lab.exact().gradient.at(name));
    return {"one-gradient", fmt::format("one gradient is wrong, that of {}{}", name, where),
            "the loss and all other gradients agree", c.wrong, 0.6};
}

/// Parameters of a unit by whether their gradients are right.
struct Unit {
    std::string name;
    std::vector<std::string> right, wrong;
};

/// Returns the units in the order in which the backward pass meets them.
std::vector<Unit> units_on_the_way_back(Case const& c) {
    std::vector<Unit> units;
    for (auto const& spec : model::parameter_specs(c.lab.problem().model)) {
        if (units.empty() || units.back().name != spec.unit) units.push_back({spec.unit, {}, {}});
        bool const wrong = std::ranges::find(c.wrong, spec.name) != c.wrong.end();
        (wrong ? units.back().wrong : units.back().right).push_back(spec.name);
    }
    std::ranges::reverse(units);
    return units;
}

} // namespace

std::optional<Cause> backward_pass(Case const& c) {
    if (c.wrong.empty() || c.specimen.wrong("loss of step 1")) return {};
    if (c.wrong.size() == 1) return one_gradient(c);
    auto const units = units_on_the_way_back(c);
    auto const first =
        std::ranges::find_if(units, [](Unit const& unit) { return !unit.wrong.empty(); });
    std::vector<std::string> passed;
    for (auto unit = units.begin(); unit != first; ++unit) passed.push_back(unit->name);
    std::string const before =
        passed.empty() ? "" : fmt::format(" and all of {}", fmt::join(passed, ", "));
    return Cause{"backward",
                 fmt::format("the backward pass goes wrong in {}, on its way back from the loss",
                             first->name),
                 fmt::format("the loss{} agree{}; in {} the gradients of {} do not{}{}", before,
                             before.empty() ? "s" : "", first->name, fmt::join(first->wrong, ", "),
                             first->right.empty() ? "" : ", those do of ",
                             fmt::join(first->right, ", ")),
                 first->wrong, 0.5};
}

} // namespace trireme::framework::parity
