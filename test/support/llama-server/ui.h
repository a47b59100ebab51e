// Stands in for the generated header of llama.cpp's web UI, which the vendored tree leaves out: a server without pages.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct llama_ui_asset {
    std::string name;
    std::string etag;
    std::string type;
    const unsigned char * data;
    std::size_t size;
};

inline const std::vector<llama_ui_asset> & llama_ui_get_assets() {
    static const std::vector<llama_ui_asset> none;
    return none;
}

inline const llama_ui_asset * llama_ui_find_asset(const std::string &) {
    return nullptr;
}

inline bool llama_ui_use_gzip() {
    return false;
}
