// Writes a checkpoint of a run as a Hugging Face folder.
#pragma once
#include <string>

namespace trireme::framework::jobs {

/// `which`: best | latest | average-K, the mean of the weights of the K newest | a name. `dtype`:
/// auto (each tensor as the model came) | fp32 | bf16 | fp16. Returns the name of the checkpoint
/// taken, read one tensor at a time, and once more as a whole for the fingerprint, or "the mean of
/// NAME, ...". Local. Throws InputError.
std::string export_checkpoint(std::string const& run, std::string const& which,
                              std::string const& output, std::string const& dtype = "auto");

} // namespace trireme::framework::jobs
