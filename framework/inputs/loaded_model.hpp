// A model on a mesh with the weights of a Hugging Face folder: what trains, evaluates, generates
// and is verified.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/config/config.hpp"
#include "framework/parallelize/parallel_model.hpp"

namespace trireme::framework::inputs {

enum class Purpose : std::uint8_t { training, inference };

class LoadedModel : public parallelize::ParallelModel {
  public:
    /// Lays `model` over `mesh` as the sections `parallel` and `numerics` say, and allocates;
    /// gradients, and a base model if the configuration asks for one, for training alone. `config`,
    /// `model` and `mesh` must outlive it. Collective over the mesh. Throws InputError before
    /// memory is taken for a layout that cannot work.
    LoadedModel(config::Config const& config, model::Config const& model,
                parallel::Mesh const& mesh, Purpose purpose, at::Device device = at::kCPU);

    /// Fills the weights of the base model (train.base_divergence) in the same way, and refreshes
    /// them. Throws InputError if the folder was not trained to say tokens. Collective over the
    /// mesh.
    void start_base();
    /// Fills the master weights as the section `model` says; refresh() is still to come. Returns
    /// one line for each thing that a user should know. Local.
    std::vector<std::string> start_weights();
    /// Fills all weights of a model that is used as it is, and refreshes them. Throws InputError if
    /// the folder has no trained head for the task; `legal` says what has. Collective over the
    /// mesh.
    void read_trained_weights(std::string const& legal);

  private:
    config::Config const& run_;
};

} // namespace trireme::framework::inputs
