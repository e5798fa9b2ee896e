// Reads a Hugging Face folder into the parameter store.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "framework/model/config.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/pretrained/section.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::framework::pretrained {

/// Checks what load_weights will find: every tensor there once, of the right shape, none left over.
/// Reads only headers. Throws InputError naming file and tensor. Local.
void check_weights(ModelSection const& section, model::Config const& model);

/// Checks the same for a model that is used as it is: its head must be one for this task. Otherwise
/// a tied language model would take the body of a classifier for its own.
void check_complete(ModelSection const& section, model::Config const& model);

/// Tells how the weights differ from a plain copy of the folder's.
struct LoadedWeights {
    std::int64_t seed = 0;
    bool from_scratch = false;
    std::vector<std::string> fresh;  ///< tensors of a head that is made anew
    std::vector<std::string> unused; ///< tensors of other heads in the folder
    std::vector<std::string> grown;  ///< tensors with rows for tokens that the data added
    bool labels_reordered = false;   ///< rows of the head were matched by the names of the classes
    /// One line for each thing that a user should know.
    std::vector<std::string> notes() const;
};

/// Fills the master weights: from the folder's safetensors, or by seed and name when training from
/// scratch or for a new head. A trained head whose classes have the same names in another order is
/// taken over row by row, and a table of words that has fewer of them than the model gets rows for
/// the others ([Note: rows of added tokens] in copy_in.hpp). Throws InputError for a tensor that is
/// neither used, nor of another task's head, nor a copy, bit by bit, of one that is used. Local.
LoadedWeights load_weights(ModelSection const& section, std::uint64_t seed,
                           model::Config const& model, parallel::ParameterStore& store);

/// The tensor in a folder's own spelling: a bare body leaves its prefix away, old BERTs call norm
/// parameters gamma and beta. `entries.end()` if it is not there.
std::map<std::string, TensorEntry>::const_iterator
find_tensor(std::map<std::string, TensorEntry> const& entries, model::Config const& model,
            std::string const& name);

} // namespace trireme::framework::pretrained
