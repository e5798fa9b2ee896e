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

/// Holds the options of `trireme plan --rows`.
struct RowsRequest {
    std::string rows, out, constants;
    bool force = false;
};
/// Writes a line of CSV for each row, with empty cells for those that cannot be predicted, and says
/// why not. Local. Throws InputError for a file that is no rows. Returns the exit code.
int plan_rows(RowsRequest const& request);

/// The constants that lie beside the program, or in the source it was built from.
std::string installed_constants();

/// The folder of the project's machines, installed or beside the sources.
std::string machines_folder();

/// Opens the inputs as a run would; without data, which `sequence` > 0 allows, the model alone.
/// Throws InputError.
PlannedRun read_planned_run(framework::config::Config const& config, std::int64_t sequence);

// Each prints a part of the plan. Local.

void print_configured(framework::planning::SearchRequest const& search, PlannedRun const& run);
void print_refused(framework::planning::SearchResult const& result);
void print_chosen(framework::planning::Judged const& best,
                  framework::planning::SearchRequest const& search, PlannedRun const& run);

} // namespace trireme::launch
