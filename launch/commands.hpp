// The subcommands that compute. Each parses its own arguments and returns an exit code; bad input
// is thrown.
#pragma once
#include <string>
#include <vector>

namespace trireme::launch {

int init_command(std::vector<std::string> const& arguments);
int train_command(std::vector<std::string> const& arguments);
int evaluate_command(std::vector<std::string> const& arguments);
int predict_command(std::vector<std::string> const& arguments);
int attribute_command(std::vector<std::string> const& arguments);
int verify_command(std::vector<std::string> const& arguments);
int generate_command(std::vector<std::string> const& arguments);
int export_command(std::vector<std::string> const& arguments);
int checkpoint_command(std::vector<std::string> const& arguments);
int status_command(std::vector<std::string> const& arguments);
int explain_command(std::vector<std::string> const& arguments);
int doctor_command(std::vector<std::string> const& arguments);
int submit_command(std::vector<std::string> const& arguments);
int completion_command(std::vector<std::string> const& arguments);

/// `trireme --version`: this program, and the libraries it runs with.
void print_version();
int calibrate_command(std::vector<std::string> const& arguments);
int plan_command(std::vector<std::string> const& arguments);
int step_cost_command(std::vector<std::string> const& arguments);
int parity_command(std::vector<std::string> const& arguments);

} // namespace trireme::launch
