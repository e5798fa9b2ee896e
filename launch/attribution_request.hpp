// The options of `trireme attribute`, and what is legal of them.
#pragma once
#include <optional>
#include <string>

#include "cluster/output_file.hpp"
#include "framework/jobs/attribute.hpp"
#include "launch/options.hpp"
#include "launch/text_blocks.hpp"

namespace trireme::launch {

inline constexpr char const *kIntegrated = "integrated-gradients", *kGradient = "gradient-x-input";

struct AttributionRequest {
    TextSource source;
    std::string model, base, output, method, baseline, target, influence, split;
    std::int64_t top = 0; ///< training samples that are named
    bool force = false;
    bool language_model = false; ///< known once config.json is read
    framework::jobs::AttributionJob job;
    std::optional<cluster::OutputFile> file; ///< at `output`
};

/// Options that fill `r`, which must outlive them.
boost::program_options::options_description options_of(AttributionRequest& r);
/// Checks options together. Throws InputError.
void check(AttributionRequest const& r);
/// Fills in the baseline of the job as --baseline and the tokenizer of the model have it, and
/// returns what tells readers of the results. Throws InputError for a token that is not there.
std::string choose_baseline(AttributionRequest& r);

} // namespace trireme::launch
