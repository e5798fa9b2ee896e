// Documents longer than the model, whose windows are samples: outputs of one document put together.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/evaluation/section.hpp"

namespace trireme::framework::evaluation {

/// Returns the first sample of each document, in order: samples that follow one another and come
/// of the same row are its windows. Empty if every sample is a document of its own. Reads where
/// each sample comes from. Local. Throws JobError if a shard cannot be read.
std::vector<std::int64_t> documents_of(data::Dataset const& dataset);

/// Returns the outcome of documents, of that of their windows, of classes, sets of labels or
/// numbers: outputs pooled in float64, in the order of windows, and loss and predictions of these.
/// A document has the number of its first window. `first`: of each document.
Outcome pool_windows(Outcome const& windows, std::vector<std::int64_t> const& first,
                     Pooling pooling);

} // namespace trireme::framework::evaluation
