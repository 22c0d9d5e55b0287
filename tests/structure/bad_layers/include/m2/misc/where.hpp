// expect: include/m2/misc/where.hpp: it lies in no layer
#pragma once
