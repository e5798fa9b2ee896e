#include "tests/cluster/device_place.hpp"

#include <cstring>

namespace trireme::test {

using cluster::Buffer;

DevicePlace::~DevicePlace() {
    if (unfinished_) finish();
}

void DevicePlace::finish() {
    cluster::Event end;
    end.record(stream());
    end.wait(std::chrono::seconds(60), "a test's copy");
    unfinished_ = false;
}

Buffer DevicePlace::upload(std::vector<std::byte> const& bytes, cluster::DType dtype) {
    void* const pinned = pinned_.emplace_back(bytes.size()).data();
    void* const device = device_.emplace_back(bytes.size(), stream()).data();
    on_host_access(pinned, bytes.size(), true);
    std::memcpy(pinned, bytes.data(), bytes.size());
    cluster::copy_on_stream(device, pinned, bytes.size(), stream());
    unfinished_ = true;
    return {device, bytes.size() / cluster::size_of(dtype), dtype, cluster::Device::cuda, stream()};
}

std::vector<std::byte> DevicePlace::download(Buffer const& buffer) {
    void* const pinned = pinned_.emplace_back(buffer.bytes()).data();
    cluster::copy_on_stream(pinned, buffer.data, buffer.bytes(), stream());
    finish();
    on_host_access(pinned, buffer.bytes(), false);
    auto const* const begin = static_cast<std::byte const*>(pinned);
    return {begin, begin + buffer.bytes()};
}

void DevicePlace::wait(cluster::Work work) {
    waiting_ == Waiting::on_host ? work.wait() : work.wait(stream());
}

} // namespace trireme::test
