#include "framework/parity/layouts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "cluster/error.hpp"
#include "framework/parallelize/layout_check.hpp"

namespace trireme::framework::parity {

namespace {

struct Degrees {
    int pipeline, replicate, shard, tensor;
};

std::vector<Degrees> factorisations(int ranks, int layers) {
    std::vector<Degrees> all;
    for (int p = 1; p <= std::min(ranks, layers); ++p)
        for (int r = 1; p * r <= ranks && ranks % p == 0; ++r)
            for (int s = 1; p * r * s <= ranks; ++s)
                if (ranks % (p * r * s) == 0) all.push_back({p, r, s, ranks / (p * r * s)});
    return all;
}

/// Can the tensor axis have so many ranks?
bool divides(model::Config const& model, int tensor) {
    try {
        parallelize::check_layout(model, {{1, 1, 1, 1, tensor}}, {});
        return true;
    } catch (cluster::InputError const&) {
        return false;
    }
}

struct Schedule {
    parallel::ScheduleKind kind;
    int chunks;
};

std::vector<Schedule> schedules_for(int pipeline, int layers) {
    using parallel::ScheduleKind;
    std::vector<Schedule> all;
    for (Schedule const schedule :
         {Schedule{ScheduleKind::one_f_one_b, 1}, Schedule{ScheduleKind::gpipe, 1},
          Schedule{ScheduleKind::zero_bubble, 1}, Schedule{ScheduleKind::interleaved, 2}})
        if (schedule.chunks * pipeline <= layers &&
            (pipeline > 1 || schedule.kind == ScheduleKind::one_f_one_b))
            all.push_back(schedule);
    return all;
}

/// Splits of 4 layers other than the even one, which 2 and 4 parts have with ends of an embedding
/// or a head alone.
std::vector<std::vector<int>> splits_for(int parts, int layers) {
    if (layers != 4 || parts < 2 || parts > 4) return {{}};
    static std::vector<std::vector<int>> const uneven{{3, 1}, {0, 3, 1}, {0, 1, 3, 0}};
    return {{}, uneven[static_cast<std::size_t>(parts - 2)]};
}

/// Names the choices of a layout, for the cover, in which every pair of them must occur.
std::vector<std::string> choices_of(Layout const& l) {
    auto const& p = l.parallel;
    std::vector<std::string> all{fmt::format("pipeline {}", p.pipeline),
                                 fmt::format("replicate {}", p.replicate),
                                 fmt::format("shard {}", p.shard),
                                 fmt::format("tensor {}", p.tensor),
                                 fmt::format("zero {}", p.zero),
                                 name_of(p.schedule),
                                 fmt::format("recompute {}", name_of(p.recompute)),
                                 fmt::format("micro-batches of {}", l.tokens_per_micro_batch),
                                 fmt::format("offload {}", name_of(p.offload))};
    if (p.pipeline > 1) all.push_back(p.layers.empty() ? "even layers" : "uneven layers");
    return all;
}

/// Layouts and what they cover, as numbers.
struct Cover {
    explicit Cover(std::vector<Layout> const& layouts) {
        std::map<std::string, std::size_t> single;
        std::map<std::array<std::size_t, 4>, std::size_t> number; // of a pair, and of a mesh
        auto const numbered = [&](std::array<std::size_t, 4> const& what) {
            return number.try_emplace(what, number.size()).first->second;
        };
        auto const degree = [](int d) { return static_cast<std::size_t>(d); };
        for (auto const& l : layouts) {
            std::vector<std::size_t> words;
            for (auto const& c : choices_of(l))
                words.push_back(single.try_emplace(c, single.size()).first->second);
            auto& mine = choices.emplace_back();
            for (std::size_t i = 0; i < words.size(); ++i)
                for (std::size_t j = i + 1; j < words.size(); ++j)
                    mine.push_back(numbered({words[i], words[j], 0, 0}));
            auto const& p = l.parallel;
            if (l.ranks() != 5 && l.ranks() != 7)
                mine.push_back(numbered(
                    {degree(p.pipeline), degree(p.replicate), degree(p.shard), degree(p.tensor)}));
        }
        open.assign(number.size(), true);
    }
    std::size_t gain(std::size_t layout) const {
        return static_cast<std::size_t>(
            std::ranges::count_if(choices[layout], [&](auto c) { return open[c]; }));
    }
    void take(std::size_t layout) {
        for (auto const c : choices[layout]) open[c] = false;
    }

    std::vector<std::vector<std::size_t>> choices;
    std::vector<bool> open; ///< not covered yet
};

/// Returns the layout that covers most of what is open, of the fewest ranks, and how much that is;
/// layouts.size() if all are taken.
std::pair<std::size_t, std::size_t> best_to_add(Cover const& state,
                                                std::vector<Layout> const& layouts,
                                                std::vector<std::size_t> const& taken) {
    std::size_t best = layouts.size(), best_gain = 0;
    for (std::size_t i = 0; i < layouts.size(); ++i) {
        if (std::ranges::find(taken, i) != taken.end()) continue;
        std::size_t const gain = state.gain(i);
        if (best == layouts.size() || gain > best_gain ||
            (gain == best_gain && layouts[i].ranks() < layouts[best].ranks()))
            best = i, best_gain = gain;
    }
    return {best, best_gain};
}

std::vector<Layout> cover(std::vector<Layout> const& layouts, std::size_t most, std::size_t least,
                          std::vector<std::size_t> taken) {
    Cover state(layouts);
    for (auto const t : taken) state.take(t);
    while (taken.size() < most) {
        auto const [best, gain] = best_to_add(state, layouts, taken);
        if (best == layouts.size() || (gain == 0 && taken.size() >= least)) break;
        state.take(best);
        taken.push_back(best);
    }
    std::vector<Layout> chosen;
    for (auto const t : taken) chosen.push_back(layouts[t]);
    std::ranges::stable_sort(chosen, {}, &Layout::ranks);
    return chosen;
}

/// The section with every recomputation, packing and offload.
void add_choices(std::vector<Layout>& all, parallelize::ParallelSection section,
                 std::vector<std::int64_t> const& packings) {
    for (auto const recompute : {parallelize::Recompute::none, parallelize::Recompute::selective,
                                 parallelize::Recompute::full})
        for (auto const tokens : packings)
            for (auto const offload :
                 {parallelize::Offload::none, parallelize::Offload::optimizer}) {
                section.recompute = recompute;
                section.offload = offload;
                all.push_back({section, tokens});
            }
}

/// The section with every schedule and every split of the layers.
void add_schedules(std::vector<Layout>& all, parallelize::ParallelSection section, int layers,
                   std::vector<std::int64_t> const& packings) {
    for (auto const& schedule : schedules_for(section.pipeline, layers)) {
        section.schedule = schedule.kind;
        section.virtual_stages = schedule.chunks;
        for (auto const& split : splits_for(section.pipeline * schedule.chunks, layers)) {
            section.layers = split;
            add_choices(all, section, packings);
        }
    }
}

} // namespace

std::string name_of(Layout const& l) {
    auto const& p = l.parallel;
    std::string mesh;
    for (auto const& [axis, degree] : {std::pair{"pipeline", p.pipeline},
                                       {"replicate", p.replicate},
                                       {"shard", p.shard},
                                       {"tensor", p.tensor}})
        if (degree > 1) mesh += fmt::format("{}{} {}", mesh.empty() ? "" : " x ", axis, degree);
    std::string text = mesh.empty() ? "one rank" : mesh;
    if (p.zero > 0) text += fmt::format(", zero {}", p.zero);
    if (p.pipeline > 1) text += fmt::format(", {}", name_of(p.schedule));
    if (!p.layers.empty()) text += fmt::format(", layers {}", fmt::join(p.layers, " "));
    if (p.recompute != parallelize::Recompute::none)
        text += fmt::format(", recompute {}", name_of(p.recompute));
    if (p.offload != parallelize::Offload::none)
        text += fmt::format(", offload {}", name_of(p.offload));
    return text + fmt::format(", micro-batches of {}", l.tokens_per_micro_batch);
}

std::vector<Layout> all_layouts(model::Config const& model,
                                std::vector<std::int64_t> const& packings, int most_ranks) {
    std::vector<Layout> all;
    auto const layers = static_cast<int>(model.layers);
    for (int ranks = 1; ranks <= most_ranks; ++ranks)
        for (auto const& d : factorisations(ranks, layers)) {
            if (!divides(model, d.tensor)) continue;
            for (int zero = 0; zero <= 3; ++zero) {
                if (zero == 0 ? d.shard > 1 : d.shard == 1 && zero < 3) continue;
                add_schedules(all,
                              {.pipeline = d.pipeline,
                               .tensor = d.tensor,
                               .replicate = d.replicate,
                               .shard = d.shard,
                               .zero = zero},
                              layers, packings);
            }
        }
    return all;
}

std::vector<Layout> of_every_axis(model::Config const& model,
                                  std::vector<std::int64_t> const& packings) {
    if (model.layers < 4 || !divides(model, 2)) return {};
    std::vector<Layout> all;
    using parallel::ScheduleKind;
    using parallelize::Recompute;
    ScheduleKind const schedules[] = {ScheduleKind::one_f_one_b, ScheduleKind::gpipe,
                                      ScheduleKind::zero_bubble, ScheduleKind::interleaved};
    Recompute const recompute[] = {Recompute::none, Recompute::selective, Recompute::full,
                                   Recompute::selective};
    for (int zero = 0; zero <= 3; ++zero) {
        int const chunks = zero == 3 ? 2 : 1;
        all.push_back(
            {{.pipeline = 2,
              .tensor = 2,
              .replicate = 2,
              .shard = 2,
              .zero = zero,
              .schedule = schedules[zero],
              .virtual_stages = chunks,
              .layers = splits_for(2 * chunks, static_cast<int>(model.layers)).back(),
              .recompute = recompute[zero],
              .offload = zero % 2 ? parallelize::Offload::optimizer : parallelize::Offload::none},
             packings.at(static_cast<std::size_t>(zero) % packings.size())});
    }
    return all;
}

std::vector<Layout> covering(std::vector<Layout> const& layouts) {
    return cover(layouts, layouts.size(), 0, {});
}

std::vector<Layout> covering_of_world(std::vector<Layout> const& layouts, int ranks) {
    std::vector<Layout> fit;
    for (auto const& l : layouts)
        if (l.ranks() == ranks) fit.push_back(l);
    auto const axes = [](Layout const& l) {
        return (l.parallel.zero == 3) + 2 * (l.parallel.tensor > 1) +
               2 * (l.parallel.pipeline > 1) + (l.parallel.shard > 1);
    };
    auto const most = std::ranges::max_element(fit, {}, axes);
    return cover(fit, 24, 12, {static_cast<std::size_t>(most - fit.begin())});
}

std::vector<Feature> const& features() {
    static std::vector<Feature> const all{
        {"more than one rank", [](auto const& l) { return l.ranks() > 1; }},
        {"tensor > 1", [](auto const& l) { return l.parallel.tensor > 1; }},
        {"pipeline > 1", [](auto const& l) { return l.parallel.pipeline > 1; }},
        {"more than one data rank", [](auto const& l) { return l.data() > 1; }},
        {"shard > 1", [](auto const& l) { return l.parallel.shard > 1; }},
        {"replicate > 1", [](auto const& l) { return l.parallel.replicate > 1; }},
        {"replicate > 1 and shard > 1",
         [](auto const& l) { return l.parallel.replicate > 1 && l.parallel.shard > 1; }},
        {"zero 1 to 3", [](auto const& l) { return l.parallel.zero > 0; }},
        {"zero 1", [](auto const& l) { return l.parallel.zero == 1; }},
        {"zero 2", [](auto const& l) { return l.parallel.zero == 2; }},
        {"zero 3", [](auto const& l) { return l.parallel.zero == 3; }},
        {"recomputation",
         [](auto const& l) { return l.parallel.recompute != parallelize::Recompute::none; }},
        {"recompute full",
         [](auto const& l) { return l.parallel.recompute == parallelize::Recompute::full; }},
        {"recompute selective",
         [](auto const& l) { return l.parallel.recompute == parallelize::Recompute::selective; }},
        {"schedule gpipe",
         [](auto const& l) { return l.parallel.schedule == parallel::ScheduleKind::gpipe; }},
        {"schedule interleaved",
         [](auto const& l) { return l.parallel.schedule == parallel::ScheduleKind::interleaved; }},
        {"uneven layers", [](auto const& l) { return !l.parallel.layers.empty(); }},
        {"offload", [](auto const& l) { return l.parallel.offload != parallelize::Offload::none; }},
        {"schedule zero-bubble",
         [](auto const& l) { return l.parallel.schedule == parallel::ScheduleKind::zero_bubble; }},
    };
    return all;
}

} // namespace trireme::framework::parity
