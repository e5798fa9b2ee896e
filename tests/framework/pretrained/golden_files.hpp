// Folders of the tiny models of tests/golden. No torch.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace trireme::test {

inline constexpr std::array kGoldenModels{"bert",
                                          "gpt2",
                                          "gpt2-classifier",
                                          "llama",
                                          "llama-tied-biased",
                                          "llama3",
                                          "mistral",
                                          "qwen2",
                                          "qwen3",
                                          "qwen3-classifier",
                                          "roberta-classifier",
                                          "xlm-roberta-classifier",
                                          "camembert-classifier",
                                          "distilbert-classifier",
                                          "eurobert-classifier",
                                          "eurobert-mean-classifier",
                                          "llama-yarn",
                                          "ministral",
                                          "phi3",
                                          "phi3-longrope",
                                          "granite",
                                          "olmo2",
                                          "olmo3",
                                          "smollm3",
                                          "gemma2",
                                          "gemma3",
                                          "gemma3-classifier",
                                          "gpt-neox",
                                          "gpt-neox-sequential",
                                          "modernbert-classifier",
                                          "modernbert-mean-classifier",
                                          "apertus",
                                          "phi3-longrope-long",
                                          "roberta-pads"};

inline std::string golden(std::string const& name) {
    std::string path = TRIREME_GOLDEN; // by steps: GCC 12 warns of the short way (bug 105651)
    path += "/";
    return path += name;
}
/// Name of a parametrised test: letters and digits only.
inline std::string test_name(testing::TestParamInfo<char const*> const& info) {
    std::string name = info.param;
    std::erase(name, '-');
    return name;
}

} // namespace trireme::test
