// Layouts that tests of traffic run: each axis alone and together, each schedule and ZeRO stage.
#pragma once
#include <vector>

#include "framework/parallelize/section.hpp"

namespace trireme::test {

struct Layout {
    int ranks;
    framework::parallelize::ParallelSection parallel;
};

inline std::vector<Layout> layouts_to_count() {
    std::vector<Layout> all{
        {1, {}},
        {2, {.tensor = 2}},
        {3, {.tensor = 3}},
        {4, {.tensor = 2, .zero = 2}},
        {4,
         {.pipeline = 2, .tensor = 2, .recompute = framework::parallelize::Recompute::selective}},
        {8,
         {.pipeline = 2, .tensor = 2, .zero = 3, .schedule = parallel::ScheduleKind::zero_bubble}},
        {8,
         {.tensor = 2,
          .shard = 2,
          .zero = 1,
          .recompute = framework::parallelize::Recompute::full}},
        {8, {.pipeline = 4, .tensor = 2, .schedule = parallel::ScheduleKind::one_f_one_b}}};
    for (int zero = 0; zero <= 3; ++zero) {
        all.push_back({2, {.zero = zero}});
        all.push_back({4, {.zero = zero}});
        all.push_back(
            {4, {.shard = 2, .zero = zero, .recompute = framework::parallelize::Recompute::full}});
        all.push_back({4,
                       {.pipeline = 2,
                        .zero = zero,
                        .schedule = parallel::ScheduleKind::interleaved,
                        .virtual_stages = 2}});
    }
    for (auto const schedule : {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
                                parallel::ScheduleKind::zero_bubble}) {
        all.push_back({2, {.pipeline = 2, .schedule = schedule}});
        all.push_back({6,
                       {.pipeline = 3,
                        .zero = 3,
                        .schedule = schedule,
                        .recompute = framework::parallelize::Recompute::full}});
    }
    return all;
}

} // namespace trireme::test
