#include "tests/device/guarded_device.hpp"

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/error.hpp"
#include "framework/kernels/cuda/adamw.hpp"
#include "framework/model/composed.hpp"
#include "parallel/tensor_place.hpp"
#include "tests/device/pinned_copies.hpp"

namespace trireme::test {

namespace {

std::mutex mutex;
struct Block {
    std::size_t bytes;    ///< whole pages
    std::uint64_t number; ///< another for each that is made, since addresses come again
};
std::map<std::byte*, Block> blocks; ///< by first address
std::uint64_t blocks_made = 0;
std::set<std::byte*> shared_blocks; ///< of collectives between threads: they stay open
bool ranks_are_threads = false;
/// their numbers; until this thread's next operation
thread_local std::map<std::byte*, std::uint64_t> open_blocks;
std::atomic<std::size_t> operations{0}, read_backs{0}, flash_calls{0};
/// copies to and from the CPU that computes are not the program's
thread_local bool computing = false;

std::byte* block_of(void const* data) {
    auto const after = blocks.upper_bound(static_cast<std::byte*>(const_cast<void*>(data)));
    return std::prev(after)->first;
}
void protect(std::byte* block, int rights) {
    if (mprotect(block, blocks.at(block).bytes, rights) != 0) throw cluster::JobError("mprotect");
}
void close_all() {
    std::lock_guard const lock(mutex);
    for (auto const& [block, number] : open_blocks) {
        auto const found = blocks.find(block); // may be gone, and its address another thread's
        if (found != blocks.end() && found->second.number == number &&
            !shared_blocks.contains(block))
            protect(block, PROT_NONE);
    }
    open_blocks.clear();
}
void open(void const* data) {
    std::lock_guard const lock(mutex);
    auto* const block = block_of(data);
    protect(block, PROT_READ | PROT_WRITE);
    open_blocks[block] = blocks.at(block).number;
}
/// For a collective: other threads may read and write it while this one goes on.
void share(void const* data) {
    open(data);
    std::lock_guard const lock(mutex);
    if (ranks_are_threads) shared_blocks.insert(block_of(data));
}

void free_block(void* data) {
    if (!data) return;
    std::lock_guard const lock(mutex);
    auto const found = blocks.find(static_cast<std::byte*>(data));
    munmap(data, found->second.bytes);
    shared_blocks.erase(found->first);
    blocks.erase(found);
}

struct GuardedAllocator : c10::Allocator {
    c10::DataPtr allocate(std::size_t bytes) override {
        auto const page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        std::size_t const whole = (bytes / page + 1) * page;
        void* const data = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED) throw std::bad_alloc();
        std::lock_guard const lock(mutex);
        blocks[static_cast<std::byte*>(data)] = {whole, ++blocks_made};
        return {data, data, &free_block, kGuarded};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
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
    open(x.data_ptr());
    return at::from_blob(x.data_ptr(), x.sizes(), x.strides(), x.options().device(at::kCPU));
}
std::vector<std::byte> bytes_of(at::Tensor const& x) {
    auto const* const begin = static_cast<std::byte const*>(x.const_data_ptr());
    return {begin, begin + x.nbytes()};
}

/// From pinned memory, as libtorch does for CUDA: a copy that waits, and one whose numbers do not
/// lie together, read the memory at once if they change its type or layout, whatever is queued.
at::Tensor copy_from_pinned(at::Tensor const& self, at::Tensor const& to, bool non_blocking) {
    bool const by_host =
        !self.is_contiguous() || (!non_blocking && self.scalar_type() != to.scalar_type());
    if (by_host && pinned::is_stale(self.const_data_ptr()))
        throw cluster::JobError("the host reads pinned memory that a queued copy has yet to write");
    if (!non_blocking) pinned::arrive();
    auto read = pinned::read_in_order(self.const_data_ptr(), self.nbytes());
    seen_by_host(to).copy_(by_host ? self
                                   : at::from_blob(read.data(), self.sizes(), self.options()));
    close_all();
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
    close_all();
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
    bool const outer = std::exchange(computing, true);
    at::native::cpu_fallback(op, stack);
    computing = outer;
    close_all();
}

/// The arguments of libtorch's flash attention (native_functions.yaml): [T, heads, S] each, samples
/// cut by int32 offsets, at most `longest` tokens each; keys seen to the left and right, -1 or none
/// for all.
struct FlashArguments {
    at::Tensor q, k, v;
    std::vector<std::int64_t> offsets, samples;
    framework::kernels::AttentionProblem problem{};

    /// Places in the stack: of the three tensors, of the offsets and what follows them, and of the
    /// scale and the window.
    FlashArguments(torch::jit::Stack const& s, std::size_t tensors, std::size_t cuts,
                   std::size_t rest)
        : q(flat(s[tensors])), k(flat(s[tensors + 1])), v(flat(s[tensors + 2])) {
        at::Tensor const sums = s[cuts].toTensor().cpu();
        require(sums.scalar_type() == at::kInt && sums.equal(s[cuts + 1].toTensor().cpu()),
                "offsets");
        std::int64_t longest = 0;
        for (std::int64_t i = 0; i < sums.numel(); ++i) {
            offsets.push_back(sums[i].item<int>());
            if (i > 0) longest = std::max(longest, offsets.back() - offsets[offsets.size() - 2]);
        }
        samples.resize(offsets.size() - 1);
        require(s[cuts + 2].toInt() == longest && s[cuts + 3].toInt() == longest, "longest");
        require(s[cuts + 4].toDouble() == 0, "dropout");
        at::Tensor const& query = s[tensors].toTensor();
        std::int64_t const left = s[rest + 1].isNone() ? -1 : s[rest + 1].toInt(),
                           right = s[rest + 2].isNone() ? -1 : s[rest + 2].toInt();
        bool const causal = s[cuts + 5].toBool();
        require(right == (causal && left >= 0 ? 0 : -1), "keys to the right");
        problem = {offsets.data(),
                   samples.data(),
                   static_cast<std::int64_t>(samples.size()),
                   query.size(1),
                   s[tensors + 1].toTensor().size(1),
                   query.size(2),
                   causal,
                   left + 1,
                   s[rest].toDouble(),
                   {}};
    }
    static at::Tensor flat(c10::IValue const& x) {
        require(x.toTensor().scalar_type() == at::kBFloat16 && x.toTensor().dim() == 3,
                "[T, heads, S] in bf16");
        return x.toTensor().cpu().to(at::kFloat).flatten(1).contiguous();
    }
    static void require(bool right, char const* what) {
        if (!right)
            throw cluster::JobError(
                std::string("flash attention is given other arguments than it takes: ") + what);
    }
};

/// A result in the place and shape of `like`.
at::Tensor there(at::Tensor const& x, at::Tensor const& like) {
    return x.view(like.sizes()).to(like.scalar_type()).to(kGuarded);
}

void flash_forward(c10::OperatorHandle const&, torch::jit::Stack* stack) {
    ++flash_calls;
    bool const outer = std::exchange(computing, true);
    FlashArguments const a(*stack, 0, 3, 10);
    auto const [out, lse] = framework::composed::attention(a.problem, a.q, a.k, a.v);
    at::Tensor const like = (*stack)[0].toTensor(), none = at::zeros({2}, at::kLong).to(kGuarded);
    stack->clear();
    torch::jit::push(*stack, there(out, like), lse.to(kGuarded), none, none, none);
    computing = outer;
    close_all();
}
void flash_backward(c10::OperatorHandle const&, torch::jit::Stack* stack) {
    ++flash_calls;
    bool const outer = std::exchange(computing, true);
    auto const& s = *stack;
    FlashArguments const a(s, 1, 6, 14);
    auto const g = framework::composed::attention_backward(
        a.problem, a.q, a.k, a.v, FlashArguments::flat(s[4]), s[5].toTensor().cpu(),
        FlashArguments::flat(s[0]));
    at::Tensor const q = there(g.q, s[1].toTensor()), k = there(g.k, s[2].toTensor()),
                     v = there(g.v, s[3].toTensor());
    stack->clear();
    torch::jit::push(*stack, q, k, v);
    computing = outer;
    close_all();
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
    library.impl("_flash_attention_forward",
                 torch::CppFunction::makeFromBoxedFunction<&flash_forward>());
    library.impl("_flash_attention_backward",
                 torch::CppFunction::makeFromBoxedFunction<&flash_backward>());
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

void install_guarded_device(bool threads) {
    ranks_are_threads = threads;
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
    return {operations, read_backs, flash_calls};
}

} // namespace trireme::test

namespace trireme::parallel {

// In the place of no_cuda_place.cpp: collectives are the host's, and may touch what they are given.
int use_gpu(int) {
    throw cluster::JobError("the guarded device is no GPU");
}
TensorPlace place_of(at::Tensor const& tensor) {
    if (tensor.is_meta()) return {cluster::Device::none, nullptr};
    if (!tensor.is_cpu() && tensor.numel() > 0) test::share(tensor.data_ptr());
    if (tensor.is_cpu() && test::pinned::is_stale(tensor.const_data_ptr()))
        throw cluster::JobError(
            "a collective is given pinned memory that a queued copy has yet to write");
    return {cluster::Device::host, nullptr};
}

} // namespace trireme::parallel

namespace trireme::framework::kernels {

// In the place of no_adamw.cpp: the arithmetic of the CPU's kernel, on memory that is opened for
// it.
template <typename T>
bool adamw_on_device(std::int64_t n, AdamWStep const& step, T* weight, T const* gradient,
                     T* moment1, T* moment2, void*) {
    for (void const* data : {static_cast<void const*>(weight), static_cast<void const*>(gradient),
                             static_cast<void const*>(moment1), static_cast<void const*>(moment2),
                             static_cast<void const*>(step.gradient_scale)})
        test::open(data);
    adamw(n, step, weight, gradient, moment1, moment2);
    test::close_all();
    return true;
}
template bool adamw_on_device(std::int64_t, AdamWStep const&, float*, float const*, float*, float*,
                              void*);
template bool adamw_on_device(std::int64_t, AdamWStep const&, double*, double const*, double*,
                              double*, void*);

} // namespace trireme::framework::kernels
