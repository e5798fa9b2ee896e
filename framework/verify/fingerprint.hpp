// Records what a model computes for a few fixed sequences, and hashes of its tensors, in the
// exported folder as trireme_fingerprint.json: whoever has the folder can check with `trireme
// verify` that it still computes the same.
#pragma once
#include <string>
#include <vector>

#include "framework/evaluation/gathered_results.hpp"
#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/verify/fingerprint_file.hpp"

namespace trireme::framework::verify {

/// On rank 0; elsewhere only the loss. `width`: logits of a row. Collective over the world of
/// `results`.
Fingerprint summarize(evaluation::GatheredResults const& results, std::int64_t sequences,
                      std::int64_t width);

/// Computes the model in float32 for sequences that follow from vocabulary and positions alone,
/// hashes the tensor files of `folder`, and writes both there. The weights are `values`, rounded to
/// the dtypes of `folder`: not what was written but what should have been. Holds the whole model.
/// Local. Throws JobError.
void write_fingerprint(model::Config const& model, pretrained::ParameterValues const& values,
                       std::string const& folder);

/// The fingerprint of a folder.
class StoredFingerprint {
  public:
    /// Throws InputError if the file is not there or not what write_fingerprint wrote.
    explicit StoredFingerprint(std::string const& folder);

    TokenFile const& tokens() const { return file_.tokens; }
    /// Tensor files against their SHA-256; a file that differs is looked at tensor by tensor.
    /// Local.
    void compare_files(Replay& replay) const;
    /// Logits and loss; the bound is the one that the file states for `compute`. Local.
    void compare_numbers(Fingerprint const& found, parallelize::Compute compute,
                         Replay& replay) const;

  private:
    std::string folder_;
    FingerprintFile file_;
};

} // namespace trireme::framework::verify
