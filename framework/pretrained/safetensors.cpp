#include "framework/pretrained/safetensors_values.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"
#include "framework/pretrained/pickled.hpp"
#include "framework/storage/positioned_file.hpp"

namespace trireme::framework::pretrained {

namespace {

constexpr std::int64_t kMaxHeader = 100'000'000; ///< the reference implementation's own limit

struct DtypeName {
    char const* name;
    at::ScalarType type;
};
constexpr std::array<DtypeName, 10> kDtypes{{{"F64", at::kDouble},
                                             {"F32", at::kFloat},
                                             {"F16", at::kHalf},
                                             {"BF16", at::kBFloat16},
                                             {"I64", at::kLong},
                                             {"I32", at::kInt},
                                             {"I16", at::kShort},
                                             {"I8", at::kChar},
                                             {"U8", at::kByte},
                                             {"BOOL", at::kBool}}};

DtypeName const& dtype_of(std::string const& path, std::string const& tensor,
                          std::string const& dtype) {
    for (auto const& d : kDtypes)
        if (dtype == d.name) return d;
    throw cluster::InputError(
        fmt::format("{}: {}: dtype {}: legal: F64, F32, F16, BF16 (and integers for buffers)", path,
                    tensor, dtype));
}

/// Reads an entry as the header has it: its `offset` and `bytes` are begin and end in the data.
TensorEntry raw_entry_of(std::string const& path, std::string const& name,
                         nlohmann::json const& j) {
    TensorEntry entry{.file = path};
    try {
        entry.dtype = data::member<std::string>(j, "dtype");
        entry.shape = data::member<std::vector<std::int64_t>>(j, "shape");
        auto const offsets = data::member<std::vector<std::int64_t>>(j, "data_offsets");
        if (offsets.size() != 2)
            throw cluster::InputError("data_offsets: legal: two numbers, [begin, end]");
        entry.offset = offsets[0];
        entry.bytes = offsets[1];
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(fmt::format("{}: {}: {}", path, name, error.what()));
    }
    return entry;
}

TensorEntry entry_of(std::string const& path, std::string const& name, nlohmann::json const& j,
                     std::int64_t data_at, std::int64_t data_bytes) {
    TensorEntry entry = raw_entry_of(path, name, j);
    std::int64_t const begin = entry.offset, end = entry.bytes;
    if (begin < 0 || end < begin || end > data_bytes)
        throw cluster::InputError(fmt::format("{}: {}: data_offsets [{}, {}]: legal: inside the {} "
                                              "bytes of data; the file may be truncated",
                                              path, name, begin, end, data_bytes));
    std::int64_t elements = 1;
    for (auto const d : entry.shape)
        if (d < 0 || __builtin_mul_overflow(elements, d, &elements))
            throw cluster::InputError(fmt::format(
                "{}: {}: shape [{}]: legal: whole numbers >= 0 whose product fits in 64 bits", path,
                name, fmt::join(entry.shape, ", ")));
    std::int64_t const size =
        static_cast<std::int64_t>(c10::elementSize(dtype_of(path, name, entry.dtype).type));
    if (elements > data_bytes || elements * size != end - begin)
        throw cluster::InputError(fmt::format("{}: {}: shape [{}] of {}: legal: as many elements "
                                              "as its {} bytes of data_offsets hold",
                                              path, name, fmt::join(entry.shape, ", "), entry.dtype,
                                              end - begin));
    entry.offset = data_at + begin;
    entry.bytes = end - begin;
    return entry;
}

/// In order of place, each tensor must start where the one before ends.
void check_coverage(std::string const& path, std::map<std::string, TensorEntry> const& entries,
                    std::int64_t data_at, std::int64_t file_bytes) {
    std::vector<std::pair<TensorEntry const*, std::string const*>> sorted;
    for (auto const& [name, e] : entries) sorted.push_back({&e, &name});
    std::ranges::sort(sorted, {}, [](auto const& s) {
        return std::pair{s.first->offset, s.first->bytes};
    });
    std::int64_t next = data_at;
    for (auto const& [e, name] : sorted) {
        if (e->offset != next)
            throw cluster::InputError(fmt::format(
                "{}: {}: data_offsets begin at {}: {}: legal: {}, where the tensor before it ends",
                path, *name, e->offset - data_at, e->offset < next ? "an overlap" : "a hole",
                next - data_at));
        next += e->bytes;
    }
    if (next != file_bytes)
        throw cluster::InputError(fmt::format("{}: {} bytes after the last tensor; legal: none",
                                              path, file_bytes - next));
}

} // namespace

std::map<std::string, TensorEntry> read_safetensors_header(std::string const& path) {
    auto const size = static_cast<std::uint64_t>(cluster::readable_size(path));
    cluster::refuse_lfs_pointer(path);
    std::ifstream file(path, std::ios::binary);
    std::uint64_t header = 0;
    if (size < 8 || !file.read(reinterpret_cast<char*>(&header), 8))
        throw cluster::InputError(fmt::format("{}: {} bytes: not a safetensors file, or truncated; "
                                              "legal: 8 bytes of header length, then the header",
                                              path, size));
    if (header > static_cast<std::uint64_t>(kMaxHeader))
        throw cluster::InputError(
            fmt::format("{}: a header of {} bytes: not a safetensors file? legal: at most {}", path,
                        header, kMaxHeader));
    if (header + 8 > size)
        throw cluster::InputError(fmt::format("{}: a header of {} bytes in a file of {}: not a "
                                              "safetensors file, or truncated; legal: a "
                                              "header inside the file",
                                              path, header, size));
    std::string text(header, '\0');
    file.read(text.data(), static_cast<std::streamsize>(header));
    auto const json = data::parse_json(path + ": header", text);
    if (!json.is_object())
        throw cluster::InputError(path + ": header: legal: a JSON object of tensors");
    auto const data_at = static_cast<std::int64_t>(header) + 8,
               bytes = static_cast<std::int64_t>(size);
    std::map<std::string, TensorEntry> entries;
    for (auto const& [name, j] : json.items())
        if (name != "__metadata__")
            entries.emplace(name, entry_of(path, name, j, data_at, bytes - data_at));
    check_coverage(path, entries, data_at, bytes);
    return entries;
}

namespace {

/// True of "model-00001-of-00003.safetensors", the kind of name that transformers gives a shard.
bool is_shard_name(std::string const& name) {
    int part = 0, parts = 0, end = 0;
    return std::sscanf(name.c_str(), "model-%5d-of-%5d.safetensors%n", &part, &parts, &end) == 2 &&
           end == static_cast<int>(name.size());
}

/// Shards that would not be read, beside weights that are: one of the two is of another save.
void refuse_other_shards(std::string const& folder, std::set<std::string> const& read,
                         std::string const& why) {
    std::set<std::string> names;
    std::error_code none;
    for (auto const& entry : std::filesystem::directory_iterator(folder, none))
        names.insert(entry.path().filename().string());
    for (auto const& name : names)
        if (is_shard_name(name) && !read.contains(name))
            throw cluster::InputError(
                fmt::format("{}/{}: would not be read, {}; legal: the weights of one save alone",
                            folder, name, why));
}

/// The shards that an index names, each read once, and from each what the index says is in it.
std::map<std::string, TensorEntry> read_index(std::string const& folder,
                                              nlohmann::json const& json) {
    if (!json.is_object() || !json.contains("weight_map") || !json.at("weight_map").is_object())
        throw cluster::InputError("weight_map: legal: an object that gives each tensor's file");
    std::map<std::string, TensorEntry> all;
    std::map<std::string, std::map<std::string, TensorEntry>> files;
    auto const& places = json.at("weight_map");
    for (auto const& [name, value] : places.items()) {
        auto const file = data::member<std::string>(places, name);
        if (!files.contains(file)) try {
                files[file] = read_safetensors_header(cluster::listed_file(folder, file));
            } catch (cluster::InputError const& error) {
                throw cluster::InputError(fmt::format("weight_map: {}: {}", name, error.what()));
            }
        auto const found = files[file].find(name);
        if (found == files[file].end())
            throw cluster::InputError(fmt::format(
                "weight_map: {}: \"{}\": legal: a file that holds this tensor", name, file));
        all.insert(*found);
    }
    std::set<std::string> names;
    for (auto const& [file, tensors] : files) names.insert(file);
    refuse_other_shards(folder, names, "as the index does not name it");
    // Tensors that a shard holds beyond the index are for the model to judge: they may be buffers,
    // or have no place.
    for (auto const& [file, tensors] : files)
        for (auto const& [name, entry] : tensors)
            if (auto const [other, added] = all.emplace(name, entry);
                !added && other->second.file != entry.file)
                throw cluster::InputError(
                    fmt::format("tensor {} is in {} and in {} as well; legal: in one of them", name,
                                other->second.file, entry.file));
    return all;
}

} // namespace

std::map<std::string, TensorEntry> find_tensors(std::string const& folder) {
    std::string const single = folder + "/model.safetensors", index = single + ".index.json";
    std::error_code none;
    if (std::filesystem::exists(single, none)) {
        refuse_other_shards(folder, {}, "as transformers takes the model.safetensors beside it");
        return read_safetensors_header(single);
    }
    if (!std::filesystem::exists(index, none)) {
        for (std::string const name : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
            if (std::filesystem::exists(folder + "/" + name, none)) refuse_pickled(folder, name);
        throw cluster::InputError(fmt::format("{}: no weights; legal: model.safetensors, or "
                                              "model.safetensors.index.json with its shards",
                                              folder));
    }
    auto const json = data::parse_json(index, cluster::read_file(index, kMaxHeader));
    try {
        return read_index(folder, json);
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(fmt::format("{}: {}", index, error.what()));
    }
}

std::string dtype_name(at::ScalarType type) {
    for (auto const& d : kDtypes)
        if (d.type == type) return d.name;
    throw cluster::JobError(std::string("safetensors has no dtype ") + at::toString(type));
}

at::ScalarType dtype_of_name(std::string const& tensor, std::string const& name) {
    return dtype_of("source.json", tensor, name).type;
}

at::ScalarType weight_dtype(std::string const& name, TensorEntry const& entry) {
    auto const type = dtype_of(entry.file, name, entry.dtype).type;
    if (!at::isFloatingType(type))
        throw cluster::InputError(
            fmt::format("{}: {}: dtype {}: legal for a weight: F64, F32, F16, BF16", entry.file,
                        name, entry.dtype));
    return type;
}

static storage::Shape shape_of_weight(TensorEntry const& entry) {
    return entry.shape.empty() ? storage::Shape{1} : entry.shape;
}

at::Tensor read_tensor(std::string const& name, TensorEntry const& entry,
                       storage::Rectangle const& rectangle) {
    auto const type = weight_dtype(name, entry);
    auto const &start = rectangle.start, &count = rectangle.count;
    auto const shape = shape_of_weight(entry);
    std::size_t const dims = shape.size();
    if (dims > 2)
        throw cluster::InputError(
            fmt::format("{}: {}: shape [{}]: legal for a weight: one or two dimensions", entry.file,
                        name, fmt::join(entry.shape, ", ")));
    for (std::size_t d = 0; d < dims; ++d)
        if (start.at(d) < 0 || count.at(d) < 0 || start[d] > shape[d] - count[d])
            throw cluster::JobError(
                fmt::format("{}: {}: rectangle at [{}] of [{}] is not in the tensor", entry.file,
                            name, fmt::join(start, ", "), fmt::join(count, ", ")));
    at::Tensor const out = at::empty(count, at::TensorOptions().dtype(type));
    // Whole rows follow each other in the file; of parts of rows, each is a read of its own.
    std::int64_t const width = dims == 2 ? shape[1] : 1, columns = dims == 2 ? count[1] : 1,
                       column = dims == 2 ? start[1] : 0, reads = columns == width ? 1 : count[0],
                       size = static_cast<std::int64_t>(c10::elementSize(type)),
                       bytes = count[0] * columns * size / std::max<std::int64_t>(reads, 1);
    auto const file = storage::PositionedFile::to_read(entry.file);
    for (std::int64_t r = 0; r < reads; ++r)
        file.read(static_cast<char*>(out.mutable_data_ptr()) + r * bytes,
                  entry.offset + ((start[0] + r) * width + column) * size, bytes);
    return out;
}

at::Tensor read_tensor(std::string const& name, TensorEntry const& entry) {
    auto const shape = shape_of_weight(entry);
    return read_tensor(name, entry, {storage::Shape(shape.size()), shape});
}

} // namespace trireme::framework::pretrained
