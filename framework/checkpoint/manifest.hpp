// The index of a checkpoint: DIR/manifest.json. No rank and no world size in it.
#pragma once
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "framework/storage/rectangles.hpp"

namespace trireme::framework::checkpoint {

/// bytes of a file that share one hash
inline constexpr std::int64_t kChunk = std::int64_t{1} << 20;

struct Piece {
    std::string file;
    std::string dataset;          ///< in that file
    storage::Rectangle rectangle; ///< its place in the global tensor
    std::int64_t offset = 0;      ///< bytes from the start of the file
};

/// A canonical tensor: Hugging Face name, shape and orientation. kind: weight | moment1 | moment2.
struct Tensor {
    std::string kind, name, dtype; ///< dtype: f32 | f64
    storage::Shape shape;
    std::vector<Piece> pieces;
};

struct File {
    std::string file; ///< base name
    std::int64_t bytes = 0;
    std::string xxh3;                ///< hash of the whole file
    std::vector<std::string> chunks; ///< hashes of each kChunk bytes
};

struct Manifest {
    nlohmann::json state; ///< state of the run: progress, configuration, data, versions
    std::vector<Tensor> tensors;
    std::vector<File> files;
    /// Places in `tensors` by kind and name, of a manifest that was read; of one that is being
    /// made, none.
    std::map<std::pair<std::string, std::string>, std::size_t> places = {};

    Tensor const* find(std::string const& kind, std::string const& name) const;
};

nlohmann::json to_json(Tensor const& tensor);
nlohmann::json to_json(File const& file);
Tensor tensor_from_json(nlohmann::json const& json);
File file_from_json(nlohmann::json const& json);

/// Throws JobError unless every tensor is covered exactly once (the coverage proof), then writes
/// DIR/manifest.json.
void write_manifest(std::string const& directory, Manifest const& manifest);
/// Checks the manifest's hash of itself, base names and coverage. Throws InputError naming what is
/// wrong.
Manifest read_manifest(std::string const& directory);

} // namespace trireme::framework::checkpoint
