#include "framework/checkpoint/manifest.hpp"

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::framework {

namespace {

using nlohmann::json;
constexpr char const* kFormat = "trireme-checkpoint";

std::string hash_without_itself(json manifest) {
    manifest.erase("manifest_xxh3");
    std::string const text = manifest.dump();
    return cluster::xxh3_hex(text.data(), text.size());
}

void check_base_name(std::string const& file) {
    if (file.empty() || file.find('/') != std::string::npos || file.starts_with('.'))
        throw cluster::InputError("file \"" + file + "\": legal: a base name");
}

void check_coverage(CheckpointTensor const& tensor) {
    std::vector<Rectangle> rectangles;
    for (auto const& p : tensor.pieces) rectangles.push_back(p.rectangle);
    if (!cover_exactly(tensor.shape, rectangles))
        throw cluster::JobError(tensor.kind + "/" + tensor.name +
                                ": its pieces do not cover every element exactly once");
}

} // namespace

CheckpointTensor const* CheckpointManifest::find(std::string const& kind, std::string const& name) const {
    for (auto const& t : tensors)
        if (t.kind == kind && t.name == name) return &t;
    return nullptr;
}

json to_json(CheckpointTensor const& t) {
    json pieces = json::array();
    for (auto const& p : t.pieces)
        pieces.push_back({{"file", p.file},
                          {"dataset", p.dataset},
                          {"start", p.rectangle.start},
                          {"count", p.rectangle.count},
                          {"offset", p.offset}});
    return {{"kind", t.kind}, {"name", t.name}, {"dtype", t.dtype}, {"shape", t.shape}, {"pieces", pieces}};
}

json to_json(CheckpointFile const& f) {
    return {{"file", f.file}, {"bytes", f.bytes}, {"xxh3", f.xxh3}, {"chunks", f.chunks}};
}

CheckpointTensor tensor_from_json(json const& j) {
    CheckpointTensor t{j.at("kind"), j.at("name"), j.at("dtype"), j.at("shape").get<Shape>(), {}};
    for (auto const& p : j.at("pieces"))
        t.pieces.push_back(
            {p.at("file"), p.at("dataset"), {p.at("start").get<Shape>(), p.at("count").get<Shape>()}, p.at("offset")});
    return t;
}

CheckpointFile file_from_json(json const& j) {
    CheckpointFile f{j.at("file"), j.at("bytes"), j.at("xxh3"), j.at("chunks").get<std::vector<std::string>>()};
    check_base_name(f.file);
    return f;
}

void write_manifest(std::string const& directory, CheckpointManifest const& manifest) {
    json j{{"format", kFormat}, {"state", manifest.state}, {"tensors", json::array()}, {"files", json::array()}};
    for (auto const& t : manifest.tensors) {
        check_coverage(t);
        j["tensors"].push_back(to_json(t));
    }
    for (auto const& f : manifest.files) j["files"].push_back(to_json(f));
    j["manifest_xxh3"] = hash_without_itself(j);
    cluster::write_file(directory + "/manifest.json", j.dump() + "\n");
}

CheckpointManifest read_checkpoint_manifest(std::string const& directory) {
    std::string const path = directory + "/manifest.json";
    try {
        json const j = json::parse(cluster::read_file(path));
        if (j.at("manifest_xxh3") != hash_without_itself(j)) throw cluster::InputError("does not match its own hash");
        if (j.at("format") != kFormat)
            throw cluster::InputError("format: " + j.at("format").dump() + ": legal: " + kFormat);
        CheckpointManifest manifest{.state = j.at("state")};
        for (auto const& t : j.at("tensors")) {
            manifest.tensors.push_back(tensor_from_json(t));
            check_coverage(manifest.tensors.back());
        }
        for (auto const& f : j.at("files")) manifest.files.push_back(file_from_json(f));
        return manifest;
    } catch (json::exception const& error) {
        throw cluster::InputError(path + ": " + error.what());
    } catch (std::runtime_error const& error) {
        std::string const what = error.what();
        throw cluster::InputError(what.starts_with(path) ? what : path + ": " + what);
    }
}

} // namespace trireme::framework
