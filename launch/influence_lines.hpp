// What `trireme attribute --influence` finds of training samples, as JSON.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/jobs/influence.hpp"
#include "launch/attribution_request.hpp"

namespace trireme::launch {

/// Throws InputError for a model whose training samples are not compared.
void check_influence(AttributionRequest const& r, framework::jobs::AttributedModel const& model);
/// Adds "influence" to each line: {"head", "projected"}, of a language model "projected" alone,
/// each with "helpful" and "harmful", lists of samples whose similarity is highest, or lowest.
/// `texts` are those of the lines, on every rank; `lines` and `service` are those of rank 0.
/// Collective over `world`. Throws InputError.
void add_influence(AttributionRequest const& r,
                   std::vector<framework::jobs::AttributedText> const& texts,
                   std::vector<std::int32_t> const& targets,
                   std::vector<nlohmann::ordered_json>& lines, TextService* service,
                   cluster::Communicator& world);

} // namespace trireme::launch
