#include "framework/pretrained/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/positioned_file.hpp"

namespace trireme::framework {

namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000; ///< the reference implementation's own limit

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

DtypeName const& dtype_of(std::string const& path, std::string const& tensor, std::string const& dtype) {
    for (auto const& d : kDtypes)
        if (dtype == d.name) return d;
    throw cluster::InputError(
        fmt::format("{}: {}: dtype {}: legal: F64, F32, F16, BF16 (and integers for buffers)", path, tensor, dtype));
}

/// A JSON parser that refuses a key given twice: the later one would silently win.
nlohmann::json parse_header(std::string const& path, std::string const& text) {
    std::vector<std::set<std::string>> keys;
    auto const callback = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
        using Event = nlohmann::json::parse_event_t;
        if (event == Event::object_start) keys.emplace_back();
        if (event == Event::object_end) keys.pop_back();
        if (event == Event::key && !keys.back().insert(value.get<std::string>()).second)
            throw cluster::InputError(fmt::format("{}: {} stands twice in the header", path, value.get<std::string>()));
        return true;
    };
    try {
        return nlohmann::json::parse(text, callback);
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(fmt::format("{}: header is not JSON: {}", path, error.what()));
    }
}

TensorEntry entry_of(std::string const& path, std::string const& name, nlohmann::json const& j, std::int64_t data_at,
                     std::int64_t data_bytes) {
    TensorEntry entry{.file = path};
    std::int64_t begin = 0, end = 0;
    try {
        entry.dtype = j.at("dtype");
        entry.shape = j.at("shape").get<std::vector<std::int64_t>>();
        begin = j.at("data_offsets").at(0);
        end = j.at("data_offsets").at(1);
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(fmt::format("{}: {}: {}", path, name, error.what()));
    }
    if (begin < 0 || end < begin || end > data_bytes)
        throw cluster::InputError(
            fmt::format("{}: {}: data_offsets [{}, {}): legal: inside the {} bytes of data; the file may be truncated",
                        path, name, begin, end, data_bytes));
    std::int64_t elements = 1;
    for (auto const d : entry.shape)
        if (d < 0 || __builtin_mul_overflow(elements, d, &elements))
            throw cluster::InputError(
                fmt::format("{}: {}: shape [{}] is impossible", path, name, fmt::join(entry.shape, ", ")));
    std::int64_t const size = static_cast<std::int64_t>(c10::elementSize(dtype_of(path, name, entry.dtype).type));
    if (elements > data_bytes || elements * size != end - begin)
        throw cluster::InputError(fmt::format("{}: {}: shape [{}] of {} does not fit its {} bytes", path, name,
                                              fmt::join(entry.shape, ", "), entry.dtype, end - begin));
    entry.offset = data_at + begin;
    entry.bytes = end - begin;
    return entry;
}

/// In order of place, each tensor must start where the one before ends.
void check_coverage(std::string const& path, std::map<std::string, TensorEntry> const& entries, std::int64_t data_at,
                    std::int64_t file_bytes) {
    std::vector<std::pair<TensorEntry const*, std::string const*>> sorted;
    for (auto const& [name, e] : entries) sorted.push_back({&e, &name});
    std::ranges::sort(sorted, {}, [](auto const& s) { return std::pair{s.first->offset, s.first->bytes}; });
    std::int64_t next = data_at;
    for (auto const& [e, name] : sorted) {
        if (e->offset != next)
            throw cluster::InputError(
                fmt::format("{}: {}: {} before its data", path, *name, e->offset < next ? "overlap" : "hole"));
        next += e->bytes;
    }
    if (next != file_bytes)
        throw cluster::InputError(fmt::format("{}: {} bytes after the last tensor", path, file_bytes - next));
}

} // namespace

std::map<std::string, TensorEntry> read_safetensors_header(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    std::error_code error;
    auto const size = std::filesystem::file_size(path, error);
    if (!file || error) throw cluster::InputError(path + ": cannot be read (missing, or no permission)");
    std::uint64_t header = 0;
    file.read(reinterpret_cast<char*>(&header), 8);
    if (!file || header > kMaxHeader || header + 8 > size)
        throw cluster::InputError(fmt::format(
            "{}: header of {} bytes in a file of {}: not a safetensors file, or truncated (legal: at most {} bytes)",
            path, header, size, kMaxHeader));
    std::string text(header, '\0');
    file.read(text.data(), static_cast<std::streamsize>(header));
    nlohmann::json const json = parse_header(path, text);
    if (!json.is_object()) throw cluster::InputError(path + ": header is not a JSON object");
    auto const data_at = static_cast<std::int64_t>(header) + 8, bytes = static_cast<std::int64_t>(size);
    std::map<std::string, TensorEntry> entries;
    for (auto const& [name, j] : json.items())
        if (name != "__metadata__") entries.emplace(name, entry_of(path, name, j, data_at, bytes - data_at));
    check_coverage(path, entries, data_at, bytes);
    return entries;
}

std::map<std::string, TensorEntry> find_tensors(std::string const& folder) {
    std::string const single = folder + "/model.safetensors", index = single + ".index.json";
    if (std::filesystem::exists(single)) return read_safetensors_header(single);
    if (!std::filesystem::exists(index))
        throw cluster::InputError(fmt::format(
            "{}: no weights; legal: model.safetensors, or model.safetensors.index.json with its shards", folder));
    std::map<std::string, TensorEntry> all;
    std::map<std::string, std::map<std::string, TensorEntry>> files;
    try {
        auto const json = nlohmann::json::parse(cluster::read_file(index));
        for (auto const& [name, value] : json.at("weight_map").items()) {
            auto const file = value.get<std::string>();
            if (file.empty() || file.find('/') != std::string::npos || file.starts_with('.'))
                throw cluster::InputError(fmt::format("{}: {}: file \"{}\": legal: a base name", index, name, file));
            if (!files.contains(file)) files[file] = read_safetensors_header(folder + "/" + file);
            auto const found = files[file].find(name);
            if (found == files[file].end())
                throw cluster::InputError(fmt::format("{}: {}: not in {}", index, name, file));
            all.insert(*found);
        }
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(fmt::format("{}: {}", index, error.what()));
    }
    return all;
}

std::string dtype_name(at::ScalarType type) {
    for (auto const& d : kDtypes)
        if (d.type == type) return d.name;
    throw cluster::JobError(std::string("safetensors has no dtype ") + at::toString(type));
}

at::ScalarType weight_dtype(std::string const& name, TensorEntry const& entry) {
    auto const type = dtype_of(entry.file, name, entry.dtype).type;
    if (!at::isFloatingType(type))
        throw cluster::InputError(
            fmt::format("{}: {}: dtype {}: legal for a weight: F64, F32, F16, BF16", entry.file, name, entry.dtype));
    return type;
}

at::Tensor read_tensor(std::string const& name, TensorEntry const& entry, Rectangle const& rectangle) {
    auto const type = weight_dtype(name, entry);
    auto const &start = rectangle.start, &count = rectangle.count;
    std::size_t const dims = entry.shape.size();
    if (dims != 1 && dims != 2)
        throw cluster::InputError(fmt::format("{}: {}: shape [{}]: legal for a weight: one or two dimensions",
                                              entry.file, name, fmt::join(entry.shape, ", ")));
    for (std::size_t d = 0; d < dims; ++d)
        if (start.at(d) < 0 || count.at(d) < 0 || start[d] > entry.shape[d] - count[d])
            throw cluster::JobError(fmt::format("{}: {}: rectangle at [{}] of [{}] is not in the tensor", entry.file,
                                                name, fmt::join(start, ", "), fmt::join(count, ", ")));
    at::Tensor const out = at::empty(count, at::TensorOptions().dtype(type));
    // Whole rows follow each other in the file; of parts of rows, each is a read of its own.
    std::int64_t const width = dims == 2 ? entry.shape[1] : 1, columns = dims == 2 ? count[1] : 1,
                       column = dims == 2 ? start[1] : 0, reads = columns == width ? 1 : count[0],
                       size = static_cast<std::int64_t>(c10::elementSize(type)),
                       bytes = count[0] * columns * size / std::max<std::int64_t>(reads, 1);
    auto const file = PositionedFile::to_read(entry.file);
    for (std::int64_t r = 0; r < reads; ++r)
        file.read(static_cast<char*>(out.mutable_data_ptr()) + r * bytes,
                  entry.offset + ((start[0] + r) * width + column) * size, bytes);
    return out;
}

at::Tensor read_tensor(std::string const& name, TensorEntry const& entry) {
    return read_tensor(name, entry, {Shape(entry.shape.size()), entry.shape});
}

} // namespace trireme::framework
