#include "tests/device/guarded_device.hpp"

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"
#include "tests/device/guarded_blocks.hpp"
#include "tests/device/guarded_flash.hpp"
#include "tests/device/pinned_copies.hpp"

namespace trireme::test {

namespace {

std::atomic<std::size_t> operations{0}, read_backs{0};
/// copies to and from the CPU that computes are not the program's
thread_local bool computing = false;

struct GuardedAllocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        void* const data = guarded::allocate(bytes);
        return {data, data, &guarded::release, kGuarded};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &guarded::release; }
    void copy_data(void* to, void const* from, std::size_t n) const override {
        default_copy_data(to, from, n);
    }
};
GuardedAllocator allocator;

struct PinnedAllocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        void* const data = pinned::allocate(bytes);
        return {data, data, &pinned::release, at::Device(at::kCPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &pinned::release; }
    void copy_data(void* to, void const* from, std::size_t n) const override {
        default_copy_data(to, from, n);
    }
};
PinnedAllocator pinned_allocator;

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(size, &allocator, kKeys, dtype.value_or(at::kFloat), format);
}
at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
    return at::detail::empty_strided_generic(size, stride, &allocator, kKeys,
                                             dtype.value_or(at::kFloat));
}

/// The tensor as one of the CPU's, whose block is open.
at::Tensor seen_by_host(at::Tensor const& x) {
    if (x.is_cpu()) return x;
    guarded::open(x.data_ptr());
    return at::from_blob(x.data_ptr(), x.sizes(), x.strides(), x.options().device(at::kCPU));
}
std::vector<std::byte> bytes_of(at::Tensor const& x) {
    auto const* const begin = static_cast<std::byte const*>(x.const_data_ptr());
    return {begin, begin + x.nbytes()};
}

/// Copies from pinned memory as libtorch does for CUDA: a copy that waits, and one whose numbers do
/// not lie together, read the memory at once if they change its type or layout, whatever is queued.
at::Tensor copy_from_pinned(at::Tensor const& self, at::Tensor const& to, bool non_blocking) {
    bool const by_host =
        !self.is_contiguous() || (!non_blocking && self.scalar_type() != to.scalar_type());
    if (by_host && pinned::is_stale(self.const_data_ptr()))
        throw cluster::JobError("the host reads pinned memory that a queued copy has yet to write");
    if (!non_blocking) pinned::arrive();
    auto read = pinned::read_in_order(self.const_data_ptr(), self.nbytes());
    seen_by_host(to).copy_(by_host ? self
                                   : at::from_blob(read.data(), self.sizes(), self.options()));
    guarded::close_all();
    return to;
}

/// To the host: queued where the memory is pinned and nobody waits.
void copy_to_host(at::Tensor const& self, at::Tensor const& to, bool non_blocking) {
    if (non_blocking && pinned::holds(to.const_data_ptr()) && to.is_contiguous()) {
        pinned::queue_copy(to.mutable_data_ptr(),
                           bytes_of(seen_by_host(self).to(to.scalar_type()).contiguous()));
        return;
    }
    ++read_backs;
    pinned::arrive();
    to.copy_(seen_by_host(self));
}

at::Tensor copy_from(at::Tensor const& self, at::Tensor const& to, bool non_blocking) {
    if (self.numel() == 0) return to;
    if (!computing && self.is_cpu() && pinned::holds(self.const_data_ptr()))
        return copy_from_pinned(self, to, non_blocking);
    if (!computing && to.is_cpu())
        copy_to_host(self, to, non_blocking);
    else
        seen_by_host(to).copy_(seen_by_host(self));
    guarded::close_all();
    return to;
}
at::Tensor copy_from_and_resize(at::Tensor const& self, at::Tensor const& to) {
    if (self.sizes() != to.sizes()) { // a result's place that libtorch left empty
        auto const fresh = at::detail::empty_generic(self.sizes(), &allocator, kKeys,
                                                     to.scalar_type(), std::nullopt);
        to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
        to.unsafeGetTensorImpl()->set_sizes_contiguous(self.sizes());
    }
    return copy_from(self, to, false);
}

/// Numbers without dimensions may come from the host; tensors may not.
void refuse_mixed(c10::OperatorHandle const& op, at::Tensor const& x) {
    if (x.defined() && x.is_cpu() && x.dim() > 0)
        throw cluster::JobError(c10::toString(op.operator_name()) +
                                " is given a tensor of the host");
}
void fallback(c10::OperatorHandle const& op, torch::jit::Stack* stack) {
    for (auto const& value : *stack) {
        if (value.isTensor()) refuse_mixed(op, value.toTensor());
        if (value.isTensorList())
            for (at::Tensor const& x : value.toTensorList()) refuse_mixed(op, x);
    }
    ++operations;
    if (op.schema().name() == "aten::_local_scalar_dense") {
        ++read_backs;
        pinned::arrive();
    }
    OnTheCpu const on_the_cpu;
    at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}
TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
    library.impl("empty.memory_format", &empty);
    library.impl("empty_strided", &empty_strided);
    library.impl("_copy_from", &copy_from);
    library.impl("_copy_from_and_resize", &copy_from_and_resize);
    library.impl("as_strided", &at::native::as_strided_tensorimpl);
    library.impl("view", &at::native::view);
}

/// libtorch's backward pass asks whether there is a device, and which is current.
struct Hooks : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(at::DeviceIndex) const override { return true; }
    bool isPinnedPtr(void const* data) const override { return pinned::holds(data); }
    at::Allocator* getPinnedMemoryAllocator() const override { return &pinned_allocator; }
    at::DeviceIndex deviceCount() const override { return 1; }
    at::DeviceIndex getCurrentDevice() const override { return 0; }
    void setCurrentDevice(at::DeviceIndex) const override {}
    at::DeviceIndex exchangeDevice(at::DeviceIndex) const override { return 0; }
    at::DeviceIndex maybeExchangeDevice(at::DeviceIndex) const override { return 0; }
};

/// One stream, in which everything has happened when a call returns.
struct Guard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kGuarded); }
    c10::Device exchangeDevice(c10::Device) const override { return kGuarded; }
    c10::Device getDevice() const override { return kGuarded; }
    c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
    c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
    void record(void**, c10::Stream const&, c10::DeviceIndex, c10::EventFlag) const override {}
    void block(void*, c10::Stream const&) const override {}
    bool queryEvent(void*) const override { return true; }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

} // namespace

OnTheCpu::OnTheCpu() : outer_(std::exchange(computing, true)) {}
OnTheCpu::~OnTheCpu() {
    computing = outer_;
    guarded::close_all();
}

void install_guarded_device(bool threads) {
    guarded::share_with_threads(threads);
    static Hooks hooks;
    static bool const installed = [] {
        c10::SetAllocator(c10::DeviceType::PrivateUse1, &allocator);
        c10::register_privateuse1_backend("guarded");
        at::RegisterPrivateUse1HooksInterface(&hooks);
        return true;
    }();
    static_cast<void>(installed);
}

GuardedCounts guarded_counts() {
    return {operations, read_backs, flash_calls()};
}

} // namespace trireme::test

namespace trireme::parallel {

// In the place of no_cuda_place.cpp: collectives are the host's, and may touch what they are given.
int use_gpu(int) {
    throw cluster::JobError("the guarded device is no GPU");
}
TensorPlace place_of(at::Tensor const& tensor) {
    if (tensor.is_meta()) return {cluster::Device::none, nullptr};
    if (!tensor.is_cpu() && tensor.numel() > 0) test::guarded::share(tensor.data_ptr());
    if (tensor.is_cpu() && test::pinned::is_stale(tensor.const_data_ptr()))
        throw cluster::JobError(
            "a collective is given pinned memory that a queued copy has yet to write");
    return {cluster::Device::host, nullptr};
}
void* stream_of(at::Tensor const&) {
    return nullptr;
}

} // namespace trireme::parallel
