#include "framework/checkpoint/manifest.hpp"

#include <map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"

namespace trireme::framework::checkpoint {

namespace {

using nlohmann::json;
constexpr char const* kFormat = "trireme-checkpoint";

std::string hash_without_itself(json manifest) {
    manifest.erase("manifest_xxh3");
    std::string const text = manifest.dump();
    return cluster::xxh3_hex(text.data(), text.size());
}

void check_coverage(Tensor const& tensor) {
    std::vector<storage::Rectangle> rectangles;
    for (auto const& p : tensor.pieces) rectangles.push_back(p.rectangle);
    if (!storage::cover_exactly(tensor.shape, rectangles))
        throw cluster::JobError(tensor.kind + "/" + tensor.name +
                                ": its pieces do not cover every element exactly once");
}

/// One or two dimensions >= 1 whose product fits.
storage::Shape shape_from(json const& j, char const* name) {
    auto const shape = data::member<storage::Shape>(j, name);
    std::int64_t elements = 8; // of eight bytes at most
    bool legal = shape.size() == 1 || shape.size() == 2;
    for (auto const d : shape)
        legal = legal && d >= 1 && !__builtin_mul_overflow(elements, d, &elements);
    if (!legal)
        throw cluster::InputError(fmt::format("{}: {}: legal: one or two whole numbers >= 1", name,
                                              data::shown(j.at(name))));
    return shape;
}

std::int64_t bytes_of(Tensor const& tensor, Piece const& piece) {
    return piece.rectangle.elements() * (tensor.dtype == "f64" ? 8 : 4);
}

/// Every piece lies inside a file that is listed.
void check_places(Manifest const& manifest) {
    std::map<std::string, std::int64_t> bytes;
    for (auto const& f : manifest.files)
        if (!bytes.emplace(f.file, f.bytes).second)
            throw cluster::InputError(
                fmt::format("files: {} stands there twice; legal: once", f.file));
    for (auto const& t : manifest.tensors)
        for (auto const& p : t.pieces) {
            auto const found = bytes.find(p.file);
            if (found == bytes.end())
                throw cluster::InputError(
                    fmt::format("{}/{}: file {} is not listed", t.kind, t.name, p.file));
            if (p.offset > found->second - bytes_of(t, p))
                throw cluster::InputError(
                    fmt::format("{}/{}: offset {}: legal: inside the {} bytes of {}", t.kind,
                                t.name, p.offset, found->second, p.file));
        }
}

} // namespace

Tensor const* Manifest::find(std::string const& kind, std::string const& name) const {
    if (!places.empty()) {
        auto const found = places.find({kind, name});
        return found == places.end() ? nullptr : &tensors[found->second];
    }
    for (auto const& t : tensors)
        if (t.kind == kind && t.name == name) return &t;
    return nullptr;
}

json to_json(Tensor const& t) {
    json pieces = json::array();
    for (auto const& p : t.pieces)
        pieces.push_back({{"file", p.file},
                          {"dataset", p.dataset},
                          {"start", p.rectangle.start},
                          {"count", p.rectangle.count},
                          {"offset", p.offset}});
    return {{"kind", t.kind},
            {"name", t.name},
            {"dtype", t.dtype},
            {"shape", t.shape},
            {"pieces", pieces}};
}

json to_json(File const& f) {
    return {{"file", f.file}, {"bytes", f.bytes}, {"xxh3", f.xxh3}, {"chunks", f.chunks}};
}

Tensor tensor_from_json(json const& j) {
    Tensor t{data::member<std::string>(j, "kind"),
             data::member<std::string>(j, "name"),
             data::member<std::string>(j, "dtype"),
             shape_from(j, "shape"),
             {}};
    if (t.dtype != "f32" && t.dtype != "f64")
        throw cluster::InputError(fmt::format("dtype: {}: legal: f32, f64", t.dtype));
    for (auto const& p : data::list(j, "pieces"))
        t.pieces.push_back({data::member<std::string>(p, "file"),
                            data::member<std::string>(p, "dataset"),
                            {data::member<storage::Shape>(p, "start"), shape_from(p, "count")},
                            data::count(p, "offset")});
    return t;
}

File file_from_json(json const& j) {
    File f{data::member<std::string>(j, "file"), data::count(j, "bytes", 1),
           data::member<std::string>(j, "xxh3"),
           data::member<std::vector<std::string>>(j, "chunks")};
    if (static_cast<std::int64_t>(f.chunks.size()) != (f.bytes - 1) / kChunk + 1)
        throw cluster::InputError(fmt::format("chunks: {} hashes: legal: {}, one per MiB",
                                              f.chunks.size(), (f.bytes - 1) / kChunk + 1));
    return f;
}

void write_manifest(std::string const& directory, Manifest const& manifest) {
    json j{{"format", kFormat},
           {"state", manifest.state},
           {"tensors", json::array()},
           {"files", json::array()}};
    for (auto const& t : manifest.tensors) {
        check_coverage(t);
        j["tensors"].push_back(to_json(t));
    }
    for (auto const& f : manifest.files) j["files"].push_back(to_json(f));
    j["manifest_xxh3"] = hash_without_itself(j);
    cluster::write_file(directory + "/manifest.json", j.dump() + "\n");
}

/// Throws InputError or the library's exception, without the path.
static Manifest manifest_from_json(json const& j) {
    if (data::member<std::string>(j, "manifest_xxh3") != hash_without_itself(j))
        throw cluster::InputError("does not match its own hash");
    if (data::member<std::string>(j, "format") != kFormat)
        throw cluster::InputError("format: " + data::shown(j.at("format")) + ": legal: " + kFormat);
    if (!j.contains("state")) throw cluster::InputError("state: missing; legal: an object");
    Manifest manifest{.state = j.at("state")};
    for (auto const& t : data::list(j, "tensors")) {
        auto const& tensor = manifest.tensors.emplace_back(tensor_from_json(t));
        check_coverage(tensor);
        std::pair const key{tensor.kind, tensor.name};
        if (!manifest.places.emplace(key, manifest.places.size()).second)
            throw cluster::InputError(fmt::format("tensors: {}/{} stands there twice; legal: once",
                                                  tensor.kind, tensor.name));
    }
    for (auto const& f : data::list(j, "files")) manifest.files.push_back(file_from_json(f));
    check_places(manifest);
    return manifest;
}

Manifest read_manifest(std::string const& directory) {
    std::string const path = directory + "/manifest.json";
    try {
        return manifest_from_json(data::parse_json(path, cluster::read_file(path)));
    } catch (json::exception const& error) {
        throw cluster::InputError(path + ": " + error.what());
    } catch (std::runtime_error const& error) {
        std::string const what = error.what();
        throw cluster::InputError(what.starts_with(path) ? what : path + ": " + what);
    }
}

} // namespace trireme::framework::checkpoint
