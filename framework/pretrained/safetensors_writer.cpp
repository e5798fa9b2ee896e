#include "framework/pretrained/safetensors_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/safetensors_values.hpp"

namespace trireme::framework::pretrained {

namespace {

constexpr std::size_t kAlignment = 64; ///< alignment of the first tensor in the file

std::int64_t size_of(PlannedTensor const& t) {
    return static_cast<std::int64_t>(c10::elementSize(t.dtype));
}
std::int64_t bytes_of(PlannedTensor const& t) {
    return storage::elements_of(t.shape) * size_of(t);
}

/// The plan cut into files, in its order.
std::vector<std::vector<PlannedTensor>> cut(std::vector<PlannedTensor> const& plan,
                                            std::int64_t limit) {
    std::vector<std::vector<PlannedTensor>> files(1);
    std::int64_t bytes = 0;
    for (auto const& t : plan) {
        if (bytes > 0 && bytes + bytes_of(t) > limit) {
            files.emplace_back();
            bytes = 0;
        }
        bytes += bytes_of(t);
        files.back().push_back(t);
    }
    return files;
}

std::int64_t elements_in(std::vector<storage::Rectangle> const& rectangles) {
    std::int64_t n = 0;
    for (auto const& r : rectangles) n += r.elements();
    return n;
}

void check_inside(std::string const& tensor, storage::Rectangle const& rectangle,
                  at::Tensor const& values, storage::Shape const& shape) {
    if (values.sizes() != at::IntArrayRef(rectangle.count) ||
        rectangle.count.size() != shape.size())
        throw cluster::JobError(fmt::format("{}: values of [{}] for a rectangle of [{}]", tensor,
                                            fmt::join(values.sizes().vec(), ", "),
                                            fmt::join(rectangle.count, ", ")));
    for (std::size_t d = 0; d < shape.size(); ++d)
        if (rectangle.start[d] < 0 || rectangle.start[d] > shape[d] - rectangle.count[d])
            throw cluster::JobError(fmt::format("{}: a rectangle reaches outside [{}]", tensor,
                                                fmt::join(shape, ", ")));
}

} // namespace

SafetensorsWriter::SafetensorsWriter(std::string const& folder,
                                     std::vector<PlannedTensor> const& plan,
                                     std::int64_t shard_bytes)
    : folder_(folder) {
    auto const files = cut(plan, shard_bytes);
    for (std::size_t i = 0; i < files.size(); ++i)
        start_file(files.size() == 1
                       ? "model.safetensors"
                       : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size()),
                   files[i]);
}

void SafetensorsWriter::start_file(std::string const& name, std::vector<PlannedTensor> tensors) {
    // Larger elements first, so that each tensor is aligned to its own, then by name: the
    // reference's order.
    std::ranges::sort(tensors, [](auto const& a, auto const& b) {
        return size_of(a) != size_of(b) ? size_of(a) > size_of(b) : a.name < b.name;
    });
    nlohmann::ordered_json header{{"__metadata__", {{"format", "pt"}}}};
    std::int64_t end = 0;
    for (auto const& t : tensors) {
        std::int64_t const begin = end;
        end += bytes_of(t);
        header[t.name] = {{"dtype", dtype_name(t.dtype)},
                          {"shape", t.scalar ? storage::Shape() : t.shape},
                          {"data_offsets", {begin, end}}};
        if (!targets_.emplace(t.name, Target{t, files_.size(), begin, {}}).second)
            throw cluster::JobError(
                fmt::format("{}/{}: tensor {} is planned twice", folder_, name, t.name));
    }
    std::string text = header.dump();
    text.resize((text.size() + 8 + kAlignment - 1) / kAlignment * kAlignment - 8, ' ');
    for (auto const& t : tensors)
        targets_.at(t.name).offset += static_cast<std::int64_t>(text.size()) + 8;
    std::uint64_t const size = text.size();
    auto const& file = files_.emplace_back(storage::PositionedFile::to_write(folder_ + "/" + name));
    file.write(&size, 0, 8);
    file.write(text.data(), 8, static_cast<std::int64_t>(size));
    names_.push_back(name);
}

void SafetensorsWriter::write(std::string const& name, storage::Rectangle const& rectangle,
                              at::Tensor const& values) {
    auto const found = targets_.find(name);
    if (found == targets_.end())
        throw cluster::JobError(fmt::format("{}: no tensor {} is planned", folder_, name));
    Target& target = found->second;
    auto const& shape = target.planned.shape;
    check_inside(folder_ + ": " + name, rectangle, values, shape);
    at::Tensor const data = values.to(target.planned.dtype).contiguous();
    if (target.planned.dtype == at::kHalf && !at::isfinite(data).all().item<bool>() &&
        at::isfinite(values).all().item<bool>())
        throw cluster::InputError(fmt::format(
            "dtype: fp16: {} has values beyond 65504, the largest of fp16; legal: bf16, fp32",
            name));
    // Whole rows follow each other in the file; of parts of rows, each is a write of its own.
    bool const matrix = shape.size() == 2;
    std::int64_t const width = matrix ? shape[1] : 1, columns = matrix ? rectangle.count[1] : 1,
                       column = matrix ? rectangle.start[1] : 0,
                       writes = columns == width ? 1 : rectangle.count[0],
                       size = size_of(target.planned),
                       bytes = data.numel() * size / std::max<std::int64_t>(writes, 1);
    for (std::int64_t r = 0; r < writes; ++r)
        files_[target.file].write(
            static_cast<char const*>(data.const_data_ptr()) + r * bytes,
            target.offset + ((rectangle.start[0] + r) * width + column) * size, bytes);
    target.written.push_back(rectangle);
}

void SafetensorsWriter::finish() {
    nlohmann::ordered_json index;
    std::int64_t total = 0;
    for (auto const& [name, target] : targets_) {
        if (!storage::cover_exactly(target.planned.shape, target.written))
            throw cluster::JobError(fmt::format(
                "{}: {}: {} of its {} elements were written; each must be, exactly once", folder_,
                name, elements_in(target.written), storage::elements_of(target.planned.shape)));
        index["weight_map"][name] = names_[target.file];
        total += bytes_of(target.planned);
    }
    for (auto const& name : names_) cluster::sync_path(folder_ + "/" + name);
    if (names_.size() == 1) return;
    index["metadata"]["total_size"] = total;
    cluster::write_file(folder_ + "/model.safetensors.index.json", index.dump(2) + "\n");
}

} // namespace trireme::framework::pretrained
