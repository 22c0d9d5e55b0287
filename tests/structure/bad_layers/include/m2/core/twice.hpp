// expect: include/m2/core/twice.hpp: it has no #pragma once

