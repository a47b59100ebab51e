// Function words of 20 languages: prose is full of them, menus and lists of links are not.
//
// A short list a language, most frequent words first, no attempt at completeness. Words are looked
// up by the scan's hash; a collision costs one wrong count.
#pragma once

#include <cstdint>

namespace gristmill::pages {

bool IsStopWord(uint32_t hash);

}  // namespace gristmill::pages
