// How a GPU is told to multiply, and what its user is told. A build without CUDA refuses the device
// after it has settled the numerics, which are libtorch's own and there on any machine.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/parallelize/compute_device.hpp"

namespace trireme::framework::parallelize {
namespace {

bool tf32_in(parallelize::Compute compute) {
    auto const world = cluster::make_thread_world(1, {});
    EXPECT_THROW(ComputeDevice({.device = parallelize::Device::cuda}, {.compute = compute},
                               *world[0], std::chrono::seconds(1)),
                 cluster::InputError);
    return at::globalContext().allowTF32CuBLAS();
}

TEST(ComputeDevice, ProductsInFloat32AreByTf32WhereTheRunIsInBFloat16) {
    EXPECT_TRUE(tf32_in(parallelize::Compute::bf16));
    EXPECT_FALSE(tf32_in(parallelize::Compute::fp32)) << "asked for its digits";
    EXPECT_TRUE(tf32_in(parallelize::Compute::bf16));
    EXPECT_FALSE(tf32_in(parallelize::Compute::fp64));
}

TEST(ComputeDevice, WhatMakesItSlowIsSaid) {
    at::Device const gpu(at::kCUDA, 0);
    model::Config model;
    model.head_size = 64;
    model.attention_dropout = 0;
    auto const note = [&](parallelize::Compute compute) {
        return device_note(gpu, model, {.compute = compute});
    };
    EXPECT_EQ(device_note(at::kCPU, model, {.compute = parallelize::Compute::fp32}), "");
    EXPECT_EQ(note(parallelize::Compute::bf16), "attention: flash");
    EXPECT_EQ(note(parallelize::Compute::fp32),
              "attention: one sample at a time, whose scores are in memory: not flash, since "
              "numerics.compute is not bf16; products in fp32, without TF32: many times as slow on "
              "a GPU as numerics.compute: bf16");
    model.attention_dropout = 0.1;
    EXPECT_EQ(note(parallelize::Compute::bf16),
              "attention: one sample at a time, whose scores are in memory: not flash, since "
              "model.attention_dropout is 0.1, not 0");
}

} // namespace
} // namespace trireme::framework::parallelize
