#include "lanes_keys.h"
