// Metrics of classes and of sets of labels that take more than a count of what is right. Rows of
// the table in metrics.cpp.
#pragma once
#include <vector>

#include "framework/evaluation/metrics.hpp"

namespace trireme::framework::evaluation {

/// Targets of one output and what was found for them, in the order of samples; those that are
/// missing are left out.
struct Pairs {
    std::vector<double> targets, found;
};
Pairs pairs_of(Outcome const& outcome, std::int64_t output);

/// Ranks from 1; equal values share the mean of theirs, as scipy's rankdata has it. What is not a
/// number has no rank, and stands as not a number.
std::vector<double> ranks_of(std::vector<double> const& values);

/// Matthews' correlation over all classes, as scikit-learn's matthews_corrcoef: 0 where labels or
/// predictions are all of one class.
double matthews_correlation(Outcome const& outcome);
/// Area under the ROC curve, as scikit-learn's roc_auc_score: of two classes that of the second's
/// probability, of more the mean of each against the rest. Not a number if a class has no sample
/// or every one.
double class_roc_auc(Outcome const& outcome);
/// Expected calibration error of the predicted class over the bins of reliability_of.
double calibration_error(Outcome const& outcome);

/// Micro-averaged F1 over all labels; macro-averaged, where a label that neither occurs nor is
/// predicted counts 0, as scikit-learn's zero_division=0.
double label_micro_f1(Outcome const& outcome);
double label_macro_f1(Outcome const& outcome);
/// Share of samples all of whose known labels are right; those without a known one do not count.
double exact_match(Outcome const& outcome);
/// Mean over labels of the area under the ROC curve; not a number if one of them has no sample or
/// every one.
double label_roc_auc(Outcome const& outcome);

} // namespace trireme::framework::evaluation
