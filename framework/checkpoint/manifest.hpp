// The index of a checkpoint: DIR/manifest.json. No rank and no world size in it.
#pragma once
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "framework/checkpoint/rectangles.hpp"

namespace trireme::framework {

/// bytes of a file that share one hash
inline constexpr std::int64_t kChunk = std::int64_t{1} << 20;

struct CheckpointPiece {
    std::string file;
    std::string dataset;     ///< in that file
    Rectangle rectangle;     ///< of the global tensor
    std::int64_t offset = 0; ///< bytes from the start of the file
};

/// A canonical tensor: Hugging Face name, shape and orientation. kind: weight | moment1 | moment2.
struct CheckpointTensor {
    std::string kind, name, dtype; ///< dtype: f32 | f64
    Shape shape;
    std::vector<CheckpointPiece> pieces;
};

struct CheckpointFile {
    std::string file; ///< base name
    std::int64_t bytes = 0;
    std::string xxh3;                ///< of the whole file
    std::vector<std::string> chunks; ///< of each kChunk bytes
};

struct CheckpointManifest {
    nlohmann::json state; ///< of the run: progress, configuration, data, versions
    std::vector<CheckpointTensor> tensors;
    std::vector<CheckpointFile> files;
    /// Places in `tensors` by kind and name, of a manifest that was read; of one that is being
    /// made, none.
    std::map<std::pair<std::string, std::string>, std::size_t> places = {};

    CheckpointTensor const* find(std::string const& kind, std::string const& name) const;
};

nlohmann::json to_json(CheckpointTensor const& tensor);
nlohmann::json to_json(CheckpointFile const& file);
CheckpointTensor tensor_from_json(nlohmann::json const& json);
CheckpointFile file_from_json(nlohmann::json const& json);

/// Throws JobError unless every tensor is covered exactly once (the coverage proof), then writes
/// DIR/manifest.json.
void write_manifest(std::string const& directory, CheckpointManifest const& manifest);
/// Checks the manifest's hash of itself, base names and coverage. Throws InputError naming what is
/// wrong.
CheckpointManifest read_checkpoint_manifest(std::string const& directory);

} // namespace trireme::framework
