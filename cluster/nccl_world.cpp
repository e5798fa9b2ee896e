// How a world of GPUs comes to be: one GPU per rank, checked, and the unique id by broadcast.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cluster/cuda.hpp"
#include "cluster/host.hpp"
#include "cluster/nccl_back_end.hpp"
#include "cluster/nccl_communicator.hpp"

namespace trireme::cluster {

namespace {

struct Gpu {
    std::array<char, 64> host{};
    std::array<unsigned char, 16> uuid{};
    int device = 0;
};

Gpu own_gpu(int device) {
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    Gpu own{};
    own.device = device;
    static_assert(sizeof properties.uuid == sizeof own.uuid);
    std::memcpy(own.uuid.data(), &properties.uuid, own.uuid.size());
    std::string const host = host_name();
    std::copy_n(host.data(), std::min(host.size(), own.host.size() - 1), own.host.data());
    return own;
}

std::string text_of(std::array<unsigned char, 16> const& uuid) {
    std::string text = "GPU-";
    for (std::size_t i = 0; i < uuid.size(); ++i)
        text += fmt::format("{}{:02x}", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    return text;
}

/// By UUID, since the numbers of devices depend on CUDA_VISIBLE_DEVICES. Collective; throws on
/// every rank or on none.
void refuse_shared_gpus(Communicator& control, Gpu own) {
    std::vector<Gpu> all(static_cast<std::size_t>(control.size()));
    control
        .all_gather({&own, sizeof own, DType::u8}, {all.data(), all.size() * sizeof own, DType::u8},
                    "nccl/gpus")
        .wait();
    for (std::size_t b = 1; b < all.size(); ++b)
        for (std::size_t a = 0; a < b; ++a)
            if (all[a].uuid == all[b].uuid)
                throw InputError(fmt::format(
                    "ranks {} and {} on {} have one GPU, {} (devices {} and {} there): legal: a "
                    "GPU for each "
                    "rank; start no more ranks on a node than it has GPUs, or bind each to its own",
                    a, b, all[b].host.data(), text_of(all[b].uuid), all[a].device, all[b].device));
}

} // namespace

bool has_nccl() {
    return true;
}

std::unique_ptr<Communicator> make_nccl_world(Communicator& control, NcclOptions const& place,
                                              CommunicatorOptions const& options) {
    check_cuda(cudaSetDevice(place.device), "cudaSetDevice");
    Gpu const own = own_gpu(place.device);
    // NCCL refuses two ranks of one host on one GPU; a host that the user named stays
    if (place.share_gpus)
        setenv("NCCL_HOSTID", fmt::format("{}-{}", host_name(), control.rank()).c_str(), 0);
    else
        refuse_shared_gpus(control, own);
    ncclUniqueId id{};
    ncclResult_t const made = control.rank() == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    if (made != ncclSuccess)
        throw JobError(
            fmt::format("rank 0@{}: ncclGetUniqueId: {}", host_name(), ncclGetErrorString(made)));
    control.broadcast({&id, sizeof id, DType::u8}, 0, "nccl/unique id").wait();
    auto group = std::make_shared<NcclGroup>(id, control.rank(), control.size(), options.deadline);
    std::shared_ptr<Communicator> const not_owned(std::shared_ptr<void>(), &control);
    return make_nccl_communicator(std::move(group), std::make_shared<NcclWatch>(place.device),
                                  not_owned, "world", options);
}

} // namespace trireme::cluster
