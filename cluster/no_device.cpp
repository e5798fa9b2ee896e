#include "cluster/device.hpp"
#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {
[[noreturn]] void refuse() {
    throw InputError("this build has no CUDA; build it with: launch/setup --gpu && cmake --preset "
                     "gpu && cmake --build build");
}
} // namespace

Event::Event() {
    refuse();
}
Event::~Event() = default;
void Event::record(void*) {
    refuse();
}
void Event::hold(void*) const {
    refuse();
}
bool Event::reached() const {
    refuse();
}
void Event::wait(std::chrono::milliseconds, std::string_view) const {
    refuse();
}
void follow(void*, void*) {
    refuse();
}
Stream::Stream() {
    refuse();
}
Stream::~Stream() = default;
DeviceMemory::DeviceMemory(std::size_t, void* stream) : stream_(stream) {
    refuse();
}
DeviceMemory::~DeviceMemory() = default;
PinnedMemory::PinnedMemory(std::size_t) {
    refuse();
}
PinnedMemory::~PinnedMemory() = default;
void copy_on_stream(void*, void const*, std::size_t, void*) {
    refuse();
}
void clear_on_stream(void*, std::size_t, void*) {
    refuse();
}

} // namespace trireme::cluster
