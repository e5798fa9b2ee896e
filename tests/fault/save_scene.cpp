#include "tests/fault/save_scene.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "cluster/xxh3.hpp"
#include "framework/checkpoint/reader.hpp"

namespace trireme::test {

using namespace framework;

namespace {

constexpr int kRanks = 2;

float value_of(std::string_view kind, std::string const& name, std::int64_t index,
               std::int64_t step) {
    std::uint64_t const salt = cluster::xxh3_64(std::string(kind) + name);
    return static_cast<float>((salt + static_cast<std::uint64_t>(index * 7919 + step * 104'729)) %
                              100'003);
}

std::vector<parallel::ParameterSpec> specs() {
    return {{.name = "embed", .shape = {90, 60}, .unit = "embeddings"},
            {.name = "layer.w", .shape = {80, 75}, .unit = "layer"},
            {.name = "layer.norm", .shape = {5}, .unit = "layer"}};
}

/// Visits every element that the store keeps.
void each_element(parallel::ParameterStore& store,
                  std::function<void(float& element, std::string_view kind, std::string const& name,
                                     std::int64_t index)> const& visit) {
    for (auto const* kind : weights::kStateKinds)
        for (auto const& unit : store.units()) {
            auto* const flat =
                static_cast<float*>(weights::flat_of(*unit, kind).mutable_data_ptr());
            for (auto const& s : parallel::stretches(*unit, unit->begin, unit->end))
                for (std::int64_t i = 0; i < s.count; ++i)
                    visit(flat[s.at - unit->begin + i], kind, s.parameter->spec().name,
                          s.first + i);
        }
}

void fill(parallel::ParameterStore& store, std::int64_t step) {
    each_element(store,
                 [step](float& element, std::string_view kind, std::string const& name,
                        std::int64_t index) { element = value_of(kind, name, index, step); });
}

parallel::StoreOptions place(cluster::Communicator const& world) {
    return {.zero = 1, .place = {.shard = world.size(), .shard_rank = world.rank()}};
}

} // namespace

config::Config scene_config(std::string const& run, bool async) {
    config::Config config;
    config.run = run;
    config.checkpoint = {.keep_last = 1, .keep_best = false, .async = async};
    config.guard.deadline = 60;
    return config;
}

SavesOutcome make_saves(config::Config const& config, std::vector<Save> const& saves,
                        std::function<void(int, std::size_t)> const& before) {
    std::vector<SavesOutcome> outcomes(kRanks);
    cluster::run_as_threads(kRanks, [&](auto& world) {
        SavesOutcome& outcome = outcomes[static_cast<std::size_t>(world.rank())];
        parallel::ParameterStore store(specs(), place(world));
        store.allocate_moments();
        store.allocate_average();
        for (auto const& unit : store.units())
            ASSERT_GT(unit->end, unit->begin) << "a rank without a part";
        train::RunCheckpoints checkpoints(config, "data", store, world);
        auto const finish = [&] {
            try {
                checkpoints.finish();
                outcome.finish.clear();
            } catch (cluster::JobError const& error) {
                outcome.finish = error.what();
            }
        };
        for (std::size_t i = 0; i < saves.size(); ++i) {
            if (before) {
                finish();
                before(world.rank(), i);
            }
            world.barrier("next save");
            fill(store, saves[i].step);
            checkpoints.note_loss(saves[i].step, static_cast<double>(saves[i].step));
            checkpoints.save({.step = saves[i].step, .cursor = saves[i].version});
            fill(store, -1); // training goes on: this must never be in a file
        }
        finish();
        while (auto const report = checkpoints.poll()) outcome.errors.push_back(report->error);
    });
    outcomes[0].agreed =
        outcomes[0].errors == outcomes[1].errors && outcomes[0].finish == outcomes[1].finish;
    return outcomes[0];
}

std::int64_t resumed_version(config::Config const& config, std::string* said) {
    std::int64_t version = -1;
    cluster::run_as_threads(1, [&](auto& world) {
        parallel::ParameterStore store(specs(), place(world));
        store.allocate_moments();
        store.allocate_average();
        train::RunCheckpoints checkpoints(config, "data", store, world);
        auto const progress = checkpoints.resume([&](std::string const& line) {
            if (said) *said += line + "\n";
        });
        if (!progress) return;
        version = progress->cursor;
        int wrong = 0;
        each_element(store, [&](float const& element, std::string_view kind,
                                std::string const& name, std::int64_t index) {
            wrong += element != value_of(kind, name, index, progress->step);
        });
        EXPECT_EQ(wrong, 0) << "elements are not those of step " << progress->step;
        EXPECT_EQ(checkpoints.losses().size(), static_cast<std::size_t>(progress->step));
    });
    return version;
}

std::int64_t newest_sound_version(std::string const& run) {
    std::string const folder = run + "/checkpoints";
    for (auto const& name : checkpoint::list_checkpoints(folder)) try {
            checkpoint::Reader const reader(folder + "/" + name);
            reader.verify();
            return reader.manifest().state.at("progress").at("cursor");
        } catch (cluster::InputError const&) {
        }
    return -1;
}

} // namespace trireme::test
