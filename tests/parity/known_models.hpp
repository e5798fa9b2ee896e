// Configurations of published models, for layouts too large to run here.
#pragma once
#include "framework/model/config.hpp"

namespace trireme::test {

inline framework::model::Config llama_3_8b() {
    framework::model::Config c;
    c.hidden = 4096;
    c.layers = 32;
    c.heads = 32;
    c.kv_heads = 8;
    c.head_size = 128;
    c.feed_forward = 14336;
    c.vocabulary = 128256;
    c.max_positions = 8192;
    c.rotary_base = 500000.0;
    return c;
}
inline constexpr std::int64_t kLlama8bParameters = 8'030'261'248; ///< of the model card's weights

inline framework::model::Config llama_3_70b() {
    framework::model::Config c = llama_3_8b();
    c.hidden = 8192;
    c.layers = 80;
    c.heads = 64;
    c.feed_forward = 28672;
    return c;
}
inline constexpr std::int64_t kLlama70bParameters = 70'553'706'496;

} // namespace trireme::test
