#include <map>

#include "launch/commands.hpp"
#include "launch/model_command.hpp"

namespace trireme::launch {

namespace {

using Run = int (*)(std::vector<std::string> const&);

std::map<std::string, Run> const kRuns{{"attribute", attribute_command},
                                       {"calibrate", calibrate_command},
                                       {"checkpoint", checkpoint_command},
                                       {"doctor", doctor_command},
                                       {"evaluate", evaluate_command},
                                       {"explain-config", explain_command},
                                       {"export", export_command},
                                       {"generate", generate_command},
                                       {"init", init_command},
                                       {"parity", parity_command},
                                       {"plan", plan_command},
                                       {"predict", predict_command},
                                       {"step-cost", step_cost_command},
                                       {"submit", submit_command},
                                       {"train", train_command},
                                       {"verify", verify_command}};

} // namespace

bool const kModelsAreHere = true;

int model_command(std::string const& name, std::vector<std::string> const& arguments) {
    return kRuns.at(name)(arguments);
}

int version_command() {
    print_version();
    return 0;
}

} // namespace trireme::launch
