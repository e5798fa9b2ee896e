#include "framework/parity/certificate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/sha256.hpp"
#include "framework/parallelize/numerics.hpp"
#include "framework/parity/certificate_file.hpp"
#include "framework/pretrained/weights.hpp"

namespace trireme::framework::parity {

namespace {

using Json = nlohmann::ordered_json;

std::string sha256_of(std::string const& text) {
    cluster::Sha256 hash;
    hash.update(text.data(), text.size());
    return hash.hex();
}

/// Describes the layout, and whether it passed.
Json json_of(LayoutOutcome const& outcome) {
    auto const& p = outcome.layout.parallel;
    return {{"layout", name_of(outcome.layout)},
            {"ranks", outcome.layout.ranks()},
            {"pipeline", p.pipeline},
            {"replicate", p.replicate},
            {"shard", p.shard},
            {"tensor", p.tensor},
            {"zero", p.zero},
            {"schedule", name_of(p.schedule)},
            {"layers", p.layers},
            {"recompute", name_of(p.recompute)},
            {"offload", name_of(p.offload)},
            {"tokens_per_micro_batch", outcome.layout.tokens_per_micro_batch},
            {"passed", outcome.passed}};
}

Json to_json(LayoutReport const& r) {
    Json json = json_of(r.outcome);
    if (!r.outcome.error.empty()) {
        json["error"] = r.outcome.error;
        return json;
    }
    json.update({{"worst_parameter", r.gradient.parameter},
                 {"gradient_error", r.gradient.error},
                 {"gradient_bound", r.gradient.bound},
                 {"loss_difference", r.loss},
                 {"worst_figure", r.worst.what},
                 {"worst_share_of_bound", r.worst.share()},
                 {"weights_sha256", r.weights_sha256}});
    if (!r.float32_error.empty())
        json["float32"] = {{"error", r.float32_error}};
    else if (r.float32)
        json["float32"] = {{"worst_figure", r.float32->what},
                           {"worst_share_of_bound", r.float32->share()}};
    return json;
}

Json to_json(Diagnosis const& d) {
    Json json{{"pattern", d.pattern}, {"specimen", d.specimen}, {"causes", Json::array()}};
    for (auto const& c : d.causes)
        json["causes"].push_back({{"id", c.id},
                                  {"text", c.text},
                                  {"evidence", c.evidence},
                                  {"parameters", c.parameters},
                                  {"confidence", c.confidence}});
    return json;
}

} // namespace

std::string heading() {
    return fmt::format("{:<6} {:<52} {:>9} {:>9}  {:>9}  {}\n", "", "worst gradient of step 1",
                       "error", "bound", "loss", "layout");
}

std::string line_of(LayoutReport const& r) {
    std::string const name = name_of(r.outcome.layout);
    if (!r.outcome.error.empty()) return fmt::format("FAILED {}: {}\n", name, r.outcome.error);
    std::string line = fmt::format("{:<6} {:<52} {:>9.1e} {:>9.1e}  {:>9.1e}  {}",
                                   r.outcome.passed ? "ok" : "FAILED", r.gradient.parameter,
                                   r.gradient.error, r.gradient.bound, r.loss, name);
    if (r.outcome.hash_differs) line += "; another SHA-256";
    if (!r.worst.holds() && r.worst.what != "gradient")
        line +=
            fmt::format("; {} {:.1e}, bound {:.1e}", r.worst.what, r.worst.error, r.worst.bound);
    if (!r.float32_error.empty())
        line += "; in float32: " + r.float32_error;
    else if (r.float32 && !r.float32->holds())
        line += fmt::format("; in float32 the {}{} {:.1e}, bound {:.1e}", r.float32->what,
                            r.float32->parameter.empty() ? "" : " of " + r.float32->parameter,
                            r.float32->error, r.float32->bound);
    return line + "\n";
}

std::string summary_of(Report const& report) {
    auto const failed =
        std::ranges::count_if(report.layouts, [](auto const& l) { return !l.outcome.passed; });
    if (report.passed())
        return fmt::format(
            "parity: passed: {} layouts of {} compute one and the same thing ({}, {})\n",
            report.layouts.size(), report.shape, name_of(report.numerics.mode),
            name_of(report.numerics.compute));
    return fmt::format("parity: FAILED: {} of {} layouts; {}", failed, report.layouts.size(),
                       report.diagnosis->message());
}

Json to_json(Report const& report, config::Config const& config, std::string const& code) {
    Json json{{"format", kCertificateFormat},
              {"verdict", report.passed() ? "passed" : "failed"},
              {"model", report.shape},
              {"task", report.task},
              {"mode", name_of(report.numerics.mode)},
              {"compute", name_of(report.numerics.compute)},
              {"seed", report.seed},
              {"steps", report.steps},
              {"code", code},
              {"config_sha256", sha256_of(config::to_yaml(config))},
              {"single_process_gradient_error", report.single},
              {"largest_gradient_bound", report.bound},
              {"loss_bound", report.loss_bound},
              {"layouts", Json::array()}};
    for (auto const& layout : report.layouts) json["layouts"].push_back(to_json(layout));
    if (report.numerics.compute == parallelize::Compute::bf16)
        json.update({{"float32", report.passed() ? "passed" : "see layouts"},
                     {"float32_largest_gradient_bound", report.float32_bound}});
    if (report.diagnosis) json["diagnosis"] = to_json(*report.diagnosis);
    return json;
}

void attach_certificate(std::string const& file, config::Config const& config) {
    std::vector<std::pair<std::string, std::string>> fields{
        {"verdict", "passed"},
        {"model", shape_class(read_full_model(config))},
        {"task", config.task},
        {"mode", name_of(config.numerics.mode)},
        {"compute", name_of(config.numerics.compute)}};
    // the same layouts
    if (config.numerics.compute == parallelize::Compute::bf16)
        fields.emplace_back("float32", "passed");
    Json const json = read_certificate(file, fields);
    cluster::check_writable_folder("run", config.run);
    std::filesystem::create_directories(config.run);
    cluster::write_file(config.run + "/parity.json", json.dump(1) + "\n");
}

} // namespace trireme::framework::parity
