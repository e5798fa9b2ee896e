// Reads rows of published measurements, one JSON object a line, and leaves out what was measured.
#pragma once
#include <string>
#include <vector>

#include "framework/planning/constants.hpp"
#include "framework/planning/prediction.hpp"

namespace trireme::framework::planning {

struct PublishedRow {
    std::string id;
    Workload workload;
    Machine machine;
    Stack stack;
    std::string refused; ///< why it cannot be predicted; empty if it can
};

/// The row of one line. Never looks at `measured`, `usable`, `reason` or `group`: they are removed
/// before anything is read. Fields of a layout that are null take the framework's default; a row
/// without a model's shape, a batch or a known GPU is refused. Throws InputError for a line that is
/// not such a row.
PublishedRow parse_row(std::string const& path, std::string const& line, std::int64_t number,
                       Constants const& constants);

/// "id,step_s,mem_alloc_GB,mem_reserved_GB,fits" and a line for each row, in order; cells of a
/// refused row are empty. 1e9 bytes.
std::string predictions_csv(std::vector<PublishedRow> const& rows);

} // namespace trireme::framework::planning
