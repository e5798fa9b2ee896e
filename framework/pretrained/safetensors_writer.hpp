// Writes the weights of a folder, and proves that each element of each tensor was written exactly
// once.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/storage/positioned_file.hpp"
#include "framework/storage/rectangles.hpp"

namespace trireme::framework::pretrained {

struct PlannedTensor {
    std::string name;
    storage::Shape shape; ///< one or two dimensions
    at::ScalarType dtype = at::kFloat;
    bool scalar = false; ///< of shape [1] here, written as a tensor without dimensions
};

/// Writes model.safetensors; or, if that would pass the limit, model-00001-of-0000N.safetensors and
/// so on with their index, filled in the order of the plan. Headers are written first, then
/// rectangles in any order, each to its place.
class SafetensorsWriter {
  public:
    /// `folder` exists. `shard_bytes`: limit of a file's data; a larger tensor has a file to
    /// itself. Local. Throws JobError.
    SafetensorsWriter(std::string const& folder, std::vector<PlannedTensor> const& plan,
                      std::int64_t shard_bytes);

    /// Values of one rectangle, of its shape, converted to the planned dtype. Throws JobError, and
    /// InputError for values that fp16 cannot hold.
    void write(std::string const& name, storage::Rectangle const& rectangle,
               at::Tensor const& values);
    /// Throws JobError naming a tensor of which an element was not written, or twice. Then syncs,
    /// and writes the index.
    void finish();

  private:
    struct Target {
        PlannedTensor planned;
        std::size_t file = 0;
        std::int64_t offset = 0; ///< in the file
        std::vector<storage::Rectangle> written;
    };
    void start_file(std::string const& name, std::vector<PlannedTensor> tensors);

    std::string folder_;
    std::vector<std::string> names_; ///< names of the files
    std::vector<storage::PositionedFile> files_;
    std::map<std::string, Target> targets_;
};

} // namespace trireme::framework::pretrained
