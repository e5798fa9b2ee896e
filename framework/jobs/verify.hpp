// `trireme verify`: what a Hugging Face folder computes on the training path, in any layout.
#pragma once
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/verify/fingerprint_file.hpp"

namespace trireme::framework::jobs {

struct VerifyJob {
    std::string model;          ///< Hugging Face folder
    std::string tokens, output; ///< JSON (verify/token_file.hpp) and the HDF5 file to make
    std::vector<std::string>
        set; ///< "parallel.tensor=2": parallel.*, numerics.*, batch.tokens_per_micro_batch
    bool force = false; ///< replace the file at `output`
};

/// One step without dropout or update: job.output gets `logits` ([n, C], or [sum of lengths, V]
/// with `offsets` [n + 1]), `loss` and `grad/NAME` by Hugging Face name, float32 (loss float64).
/// Returns the loss. Collective over `world`. Throws InputError before weights are read; only a
/// missing head is found while reading them.
double write_numerics(VerifyJob const& job, cluster::Communicator& world);

/// Computes again what `trireme export` noted in the folder (fingerprint.hpp) and compares. Known
/// on rank 0; `compared` is empty on the others. Collective over `world`. Throws InputError.
verify::Replay replay_fingerprint(VerifyJob const& job, cluster::Communicator& world);

} // namespace trireme::framework::jobs
