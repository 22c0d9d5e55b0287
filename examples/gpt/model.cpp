#include "commands.hpp"

template class m2::Gpt<float, m2::Cpu>;
