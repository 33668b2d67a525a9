#include "lanes_k12.h"
