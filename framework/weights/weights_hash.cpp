#include "framework/weights/weights_hash.hpp"

#include <algorithm>

#include "cluster/sha256.hpp"
#include "framework/weights/whole_tensor.hpp"

namespace trireme::framework::weights {

namespace {

void add(cluster::Sha256& hash, std::string const& name, at::Tensor const& whole) {
    hash.update(name.c_str(), name.size() + 1);
    hash.update(whole.sizes().data(), whole.sizes().size() * sizeof(std::int64_t));
    hash.update(whole.const_data_ptr(), static_cast<std::size_t>(whole.nbytes()));
}

} // namespace

std::string weights_sha256(std::vector<parallel::ParameterSpec> specs,
                           parallel::ParameterStore const& store, parallel::Mesh const& mesh) {
    std::ranges::sort(specs, {}, &parallel::ParameterSpec::name);
    cluster::Sha256 hash;
    for (auto const& spec : specs)
        add(hash, spec.name, whole_tensor(spec, store, mesh, Kept::weight));
    return hash.hex();
}

std::string weights_sha256(std::map<std::string, at::Tensor> const& weights) {
    cluster::Sha256 hash;
    for (auto const& [name, whole] : weights) add(hash, name, whole);
    return hash.hex();
}

} // namespace trireme::framework::weights
