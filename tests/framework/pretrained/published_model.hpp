// Golden models as others might have published them.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/file.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "framework/pretrained/safetensors_writer.hpp"
#include "tests/framework/pretrained/golden_model.hpp"

namespace trireme::framework {

inline nlohmann::json config_of(std::string const& folder) {
    return nlohmann::json::parse(cluster::read_file(folder + "/config.json"));
}

/// The golden model as its owner might have published it: another dtype, in one file or in shards.
inline void publish(std::string const& name, std::string const& folder, at::ScalarType dtype,
                    std::int64_t shard_bytes) {
    std::filesystem::create_directories(folder);
    auto const entries = pretrained::find_tensors(test::golden(name));
    std::vector<pretrained::PlannedTensor> plan;
    for (auto const& [tensor, entry] : entries)
        plan.push_back({tensor, test::shape_of(entry), dtype, entry.shape.empty()});
    pretrained::SafetensorsWriter writer(folder, plan, shard_bytes);
    for (auto const& [tensor, entry] : entries)
        writer.write(tensor, {storage::Shape(test::shape_of(entry).size()), test::shape_of(entry)},
                     pretrained::read_tensor(tensor, entry));
    writer.finish();
    auto config = config_of(test::golden(name));
    config["dtype"] =
        pretrained::dtype_name(dtype); // whatever it says, an export as it came leaves it
    cluster::write_file(folder + "/config.json", config.dump());
}

} // namespace trireme::framework
