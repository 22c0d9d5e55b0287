#pragma once

// RapidCheck where there is one; property tests stand under #ifdef M2_HAS_RAPIDCHECK.
#ifdef M2_HAS_RAPIDCHECK
#include <rapidcheck.h>
#endif
