// Metrics of entities, as seqeval 1.2.2 defines them. Rows of the table in metrics.cpp.
#pragma once
#include <map>
#include <string>

#include "framework/evaluation/metrics.hpp"

namespace trireme::framework::evaluation {

/// Entities of all samples by type, an entity being right if its type and its words are.
struct EntityCounts {
    std::int64_t right = 0, labelled = 0, found = 0;
};
std::map<std::string, EntityCounts> entity_counts(Outcome const& outcome, bool strict);
/// Scores by type; 0 where seqeval has 0 for what is not defined.
std::map<std::string, ClassScores> entity_scores(Outcome const& outcome);

/// Over all entities; 0 where there is nothing to divide by.
double entity_precision(Outcome const& outcome);
double entity_recall(Outcome const& outcome);
double entity_f1(Outcome const& outcome);
/// Mean over the types that are there or found.
double entity_macro_f1(Outcome const& outcome);
/// F1 of the entities that are well-formed by the scheme of the names: BIOES where one begins with
/// S or E, else IOB2.
double entity_strict_f1(Outcome const& outcome);

} // namespace trireme::framework::evaluation
