#pragma once
// Placeholder until the real histogram lands in the same change set.
#include "src/base/types.h"
namespace ringway { class Hist {}; }
