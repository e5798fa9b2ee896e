// Says what operations of libtorch do to memory: by their schemas, and by name where these do not
// say it.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "framework/planning/launch.hpp"

namespace trireme::framework::planning {

using Names = std::set<std::string, std::less<>>;

inline Names const kProducts{"aten::mm",
                             "aten::addmm",
                             "aten::addmm_",
                             "aten::bmm",
                             "aten::baddbmm",
                             "aten::_flash_attention_forward",
                             "aten::_flash_attention_backward",
                             "trireme::attention_forward",
                             "trireme::attention_backward",
                             "trireme::flash_forward",
                             "trireme::flash_backward",
                             "trireme::product_into"};
/// Hand out memory or another view of it, and launch nothing.
inline Names const kNoLaunch{"aten::empty",
                             "aten::empty_like",
                             "aten::empty_strided",
                             "aten::new_empty",
                             "aten::new_empty_strided",
                             "aten::resize_",
                             "aten::resize_as_",
                             "aten::set_",
                             "aten::_unsafe_view",
                             "aten::record_stream"};
/// Write the tensor that they change without reading it.
inline Names const kOverwrite{"aten::copy_", "aten::fill_", "aten::zero_", "aten::normal_",
                              "aten::uniform_"};
/// Read or change as much of their first tensor as the rest of their tensors is large.
inline Names const kPick{"aten::index_select", "aten::gather",     "aten::embedding",
                         "aten::index",        "aten::index_put_", "aten::_index_put_impl_",
                         "aten::index_add_",   "aten::index_copy_"};
/// Make the host wait for their result.
inline Names const kWait{"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select",
                         "aten::equal", "aten::_unique2"};
/// Kernels that are several launches: libtorch's flash attention backward (sums of rows, gradients,
/// their conversion, sums over query heads).
inline std::map<std::string, std::int64_t, std::less<>> const kSeveral{
    {"aten::_flash_attention_backward", 6}, {"trireme::flash_backward", 6}};

/// Says which arguments an operator reads and writes, worked out once from its schema.
struct Rule {
    std::vector<bool> read, written; ///< by argument
    bool view = false, fresh = false;
    bool kernel = false; ///< the device has one for it: what happens inside is that kernel
};

inline Rule rule_of(c10::FunctionSchema const& schema) {
    Rule rule;
    bool const overwrites = kOverwrite.contains(schema.name());
    for (auto const& argument : schema.arguments()) {
        bool const writes = argument.alias_info() && argument.alias_info()->isWrite();
        rule.written.push_back(writes);
        rule.read.push_back(!writes || !(argument.kwarg_only() || overwrites));
    }
    for (auto const& result : schema.returns()) {
        if (!result.alias_info())
            rule.fresh = true;
        else if (!result.alias_info()->isWrite())
            rule.view = true;
    }
    return rule;
}

/// Bytes of the elements that a tensor names: one that is repeated counts once.
inline std::int64_t bytes_of(at::Tensor const& x) {
    std::int64_t elements = 1;
    for (std::int64_t d = 0; d < x.dim(); ++d)
        if (x.stride(d) != 0 || x.size(d) == 0) elements *= x.size(d);
    return elements * static_cast<std::int64_t>(x.element_size());
}

template <typename F>
void each_tensor(c10::IValue const& value, F const& f) {
    if (value.isTensor() && value.toTensor().defined()) f(value.toTensor());
    if (value.isList())
        for (c10::IValue const& x : value.toListRef()) each_tensor(x, f);
}

/// Names of ours for what libtorch does on a CPU, where the meta device has no such operation.
inline std::map<std::string, std::string, std::less<>> const kOnMeta{
    {"trireme::pick_rows", "aten::index_select"},
    {"trireme::layer_norm", "aten::native_layer_norm"},
    {"trireme::layer_norm_backward", "aten::native_layer_norm_backward"}};

inline std::string_view dtype_name(at::ScalarType type) {
    switch (type) {
    case at::kFloat: return "fp32";
    case at::kBFloat16: return "bf16";
    case at::kDouble: return "fp64";
    default: return "none";
    }
}

/// What a launch's tensors say, in the order of its arguments, which an operation tells only at its
/// start, and of its results, which it tells at its end.
class LaunchTensors {
  public:
    void note_inputs(at::RecordFunction const& function) {
        for (auto const& value : function.inputs())
            each_tensor(value, [this](at::Tensor const& x) { note(x); });
        inputs_ = matrices_.size();
        first_dimensions_ = !function.inputs().empty() && function.inputs()[0].isTensor()
                                ? function.inputs()[0].toTensor().dim()
                                : 0;
    }
    void describe(Launch& launch, at::RecordFunction const& function) {
        std::string_view const name = function.name();
        auto const renamed = kOnMeta.find(name);
        launch.name = renamed == kOnMeta.end() ? std::string(name) : renamed->second;
        launch.dtype = dtype_;
        launch.multiplies = kProducts.contains(name);
        if (!launch.multiplies) {
            if (strided_) launch.name += "/strided";
        } else if (name.starts_with("aten::")) {
            describe_product(launch, name);
        } else if (name == "trireme::product_into") {
            launch.product = product_of(matrices_.at(0), matrices_.at(1));
        } else {
            for (auto const& value : function.outputs())
                each_tensor(value, [this](at::Tensor const& x) { note(x); });
            describe_attention(launch, name);
        }
    }

  private:
    struct Matrix {
        std::int64_t rows, columns;
        bool transposed;
        std::int64_t batch = 1;
    };
    static Matrix matrix_of(at::Tensor const& x) {
        auto const d = x.dim();
        return {x.size(d - 2), x.size(d - 1),
                x.size(d - 2) > 1 && x.size(d - 1) > 1 && x.stride(d - 2) == 1,
                d == 3 ? x.size(0) : 1};
    }
    void note(at::Tensor const& x) {
        if (dtype_ == "none") dtype_ = dtype_name(x.scalar_type());
        strided_ = strided_ || !x.is_contiguous();
        if (x.dim() == 2) matrices_.push_back(matrix_of(x));
        if (x.dim() == 3) batches_.push_back(matrix_of(x));
    }
    /// Finds the operands, two matrices or two batches of them: the tensor that addmm and baddbmm
    /// add comes before these, and may have as many dimensions.
    void describe_product(Launch& launch, std::string_view name) {
        bool const batched = name == "aten::bmm" || name == "aten::baddbmm",
                   added = name.starts_with("aten::addmm") || name == "aten::baddbmm";
        auto const& all = batched ? batches_ : matrices_;
        std::size_t const first = added && first_dimensions_ == (batched ? 3 : 2) ? 1 : 0;
        if ((batched ? all.size() : inputs_) < first + 2) return;
        launch.product = product_of(all[first], all[first + 1]);
        launch.batch = all[first].batch;
    }
    /// Of queries, keys, values, log of sums and others; flash attention has the sums by head, and
    /// its results in three dimensions.
    void describe_attention(Launch& launch, std::string_view name) {
        bool const flash = name.starts_with("trireme::flash");
        std::size_t const sums = name == "trireme::flash_forward" ? 3 : 4;
        if (matrices_.size() <= sums) return;
        launch.tokens = matrices_[0].rows;
        launch.heads = flash ? matrices_[sums].rows : matrices_[sums].columns;
        launch.head_size = matrices_[0].columns / launch.heads;
    }
    static ProductShape product_of(Matrix const& a, Matrix const& b) {
        return {a.transposed   ? ProductForm::tn
                : b.transposed ? ProductForm::nt
                               : ProductForm::nn,
                a.rows, a.columns, b.columns};
    }

    std::vector<Matrix> matrices_, batches_; ///< tensors of two dimensions, and of three
    std::size_t inputs_ = 0;                 ///< of the matrices
    std::string_view dtype_ = "none";
    bool strided_ = false;
    std::int64_t first_dimensions_ = 0; ///< of the first argument
};

} // namespace trireme::framework::planning
