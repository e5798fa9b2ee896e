// Holds what `trireme plan CONFIG` was asked, and shows the answer.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/planning/plan_report.hpp"

namespace trireme::launch {

/// The run as far as a plan needs it.
struct PlannedRun {
    framework::config::Config config;
    framework::model::Config model;
    std::int64_t sequence = 0; ///< tokens of a sample
    std::int64_t steps = 0;    ///< 0: not known
};

// Each prints a part of the plan. Local.

void print_configured(framework::planning::SearchRequest const& search, PlannedRun const& run);
void print_refused(framework::planning::SearchResult const& result);
void print_chosen(framework::planning::Judged const& best,
                  framework::planning::SearchRequest const& search, PlannedRun const& run);

} // namespace trireme::launch
