// A parity run as lines for a terminal and as a file.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "framework/config/config.hpp"
#include "framework/parity/check.hpp"

namespace trireme::framework::parity {

/// One line for a layout: outcome, worst parameter with error and bound, loss difference, name.
std::string line_of(LayoutReport const& layout);
std::string heading();
/// The last lines: the outcome, and what is wrong if something is.
std::string summary_of(Report const& report);

/// The certificate of docs/parity.md. `code`: what was proved, by version and by hash of the
/// program.
nlohmann::ordered_json to_json(Report const& report, config::Config const& config,
                               std::string const& code);

/// Copies `file` into the run folder as parity.json. Throws InputError where it is no certificate,
/// did not pass, or is of another shape of model or other numerics than the run. Local.
void attach_certificate(std::string const& file, config::Config const& config);

} // namespace trireme::framework::parity
